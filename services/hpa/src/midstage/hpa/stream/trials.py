"""Evaluations that people ask for, made by the thread that folds: nothing of them is written.

Any number of threads ask; a question that nobody waits for any more is not evaluated.
"""

import queue
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.scaling import Evaluation
from midstage.hpa.model import Trial

MOST_WAITING: Final = 100
WITHIN_S: Final = 5.0


class Trials:
    """The questions that wait."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._waiting: queue.Queue[tuple[Trial, Future[Evaluation]]] = queue.Queue(MOST_WAITING)

    def ask(self, trial: Trial) -> Evaluation:
        """The evaluation; RefusedError as it was refused, UnavailableError where none came."""
        answer: Future[Evaluation] = Future()
        try:
            self._waiting.put_nowait((trial, answer))
            return answer.result(WITHIN_S)
        except queue.Full as e:
            raise UnavailableError("too many dry runs wait; try again") from e
        except TimeoutError as e:
            answer.cancel()
            raise UnavailableError("nothing is evaluated now; /readyz says why") from e

    def answer(self, evaluate: Callable[[Trial], Evaluation]) -> None:
        """Evaluate what waits, in its order."""
        with suppress(queue.Empty):
            while True:
                trial, answer = self._waiting.get_nowait()
                if not answer.set_running_or_notify_cancel():
                    continue
                try:
                    answer.set_result(evaluate(trial))
                except RefusedError as refused:
                    answer.set_exception(refused)
