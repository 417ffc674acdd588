"""Pieces of work in forked processes, some at a time: what one does to itself, no other sees."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any, Final, TypeVar

_K = TypeVar("_K")
_T = TypeVar("_T")
_LEAST_S: Final = 10.0
_TIMES: Final = 20.0
_LONGEST_S: Final = 900.0


def forked(
    work: Callable[[_K], _T], keys: Iterable[_K], *, processes: int
) -> Iterator[tuple[_K, _T | None]]:
    """What ``work`` says of each key, as they end; None where it ended before it could."""
    context = get_context("fork")
    running: dict[Connection, tuple[_K, ForkProcess]] = {}
    waiting = iter(keys)
    while True:
        while len(running) < processes:
            for key in waiting:
                receiver, sender = context.Pipe(duplex=False)
                child = context.Process(target=_answered, args=(work, key, sender))
                child.start()
                sender.close()
                running[receiver] = (key, child)
                break
            else:
                break
        if not running:
            return
        ready = wait(list(running))
        for receiver in [each for each in running if each in ready]:
            key, child = running.pop(receiver)
            yield key, _heard(receiver)
            child.join()


def silent() -> None:
    """Nothing that this process says is heard from here on."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def watched(usual_s: float) -> None:
    """Who needs far more than the usual processor time, or waits very long, is killed."""
    signal.setitimer(signal.ITIMER_PROF, _LEAST_S + _TIMES * usual_s)
    signal.setitimer(signal.ITIMER_REAL, _LONGEST_S)


def _answered(work: Callable[[_K], _T], key: _K, sender: Connection) -> None:
    sender.send(work(key))
    sender.close()
    os._exit(0)  # threads that a test left behind are not waited for


def _heard(receiver: Connection) -> Any:
    try:
        return receiver.recv()
    except EOFError:
        return None
    finally:
        receiver.close()
