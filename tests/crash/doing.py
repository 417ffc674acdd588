"""Does a deed to a run, and waits until it is done.

Who stops stands still with work in its hands, and that is certain: it comes to its place while the
broker is away, so nothing of it can have been written. Then its successor does that work: of a
shipper and of a client a second process; of a shard, as the one who takes what is posted, any other
shard that the sender tries (one that took the stopped one's ledger would have to kill it first).
Once every event is acknowledged and the log is quiet, it wakes and sends what it held.
"""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from midstage.testkit.kill import ordered
from tests.crash.children import Child
from tests.crash.deeds import BROKER, SHARD, STOPS, Deed
from tests.crash.going import SETTLES_WITHIN_S, Run
from tests.crash.verdict import Woken

TRICKLE = 8
DIES_WITHIN_S = 120.0
WAKES_WITHIN_S = 60.0
GOES_ON_S = 3.0


def do(run: Run, deed: Deed) -> None:
    """Do it, and wait until it is done."""
    if deed.stops:
        _stop_and_wake(run)
        return
    if deed.who == BROKER:
        run.broker.killed()
        run.kills[BROKER] += 1
        return
    kin = run.cast.children[deed.who]
    if not deed.place:
        run.random.choice(kin).killed()
        run.kills[f"{deed.who} at once"] += 1
    elif _died(run, deed, kin):
        run.kills[f"{deed.who} {deed.place}"] += 1


def _died(run: Run, deed: Deed, kin: Sequence[Child]) -> bool:
    """All of a kind have the order; the first one there dies (a shard may have no source)."""
    before = _deaths(run, kin)
    for child in kin:
        child.order_death(deed.place, after_s=deed.after_s)
    done = _bites(run, [child.order for child in kin], deed.place)
    return done and run.waited(
        f"a {deed.who} dies at {deed.place}",
        DIES_WITHIN_S,
        lambda: _deaths(run, kin) > before,
    )


def _deaths(run: Run, kin: Sequence[Child]) -> int:
    run.tend()
    return sum(len(child.ends) for child in kin)


def _bites(run: Run, orders: Sequence[Path], place: str) -> bool:
    """Whether one was taken; events trickle meanwhile, since places are in their way."""

    def taken() -> bool:
        run.feed(TRICKLE)
        return any(not order.exists() for order in orders)

    done = run.waited(f"{orders[0].name} at {place} is taken", DIES_WITHIN_S, taken)
    for order in orders:
        order.unlink(missing_ok=True)
    return done


def _stop_and_wake(run: Run) -> None:
    """One of each kind stops, the broker comes back, the others do all the work, and each wakes."""
    run.waited("every shard answers", SETTLES_WITHIN_S, run.answering, every=0.2)
    run.waited("everything is sent before the broker goes", SETTLES_WITHIN_S, run.all_sent)
    run.broker.stop()
    standing = [
        (who, child)
        for who, place in STOPS.items()
        if _stands(run, child := run.random.choice(run.cast.children[who]), place)
    ]
    run.broker.start()
    run.kills[BROKER] += 1
    stopped = [(who, child, _succeeded(who, child)) for who, child in standing]
    run.waited("the successors send all", SETTLES_WITHIN_S, run.all_sent, every=0.2)
    for who, child, process in stopped:
        _wake(run, who, child, process)


def _stands(run: Run, child: Child, place: str) -> bool:
    ordered(child.stop_order, place)
    return _bites(run, [child.stop_order], place) and run.waited(
        f"{child.name} stands still", DIES_WITHIN_S, child.stopped
    )


def _succeeded(who: str, child: Child) -> "subprocess.Popen[bytes]":
    """The process that stands still; it has a successor now, which a shard has in the others."""
    if who != SHARD:
        return child.succeeded()
    assert child.process is not None
    return child.process


def _wake(run: Run, who: str, child: Child, process: "subprocess.Popen[bytes]") -> None:
    before = run.quiet()
    run.woken.append(Woken(who=who, ends=before))
    process.send_signal(signal.SIGCONT)
    run.waited(
        f"the woken {child.name} sends what it held",
        WAKES_WITHIN_S,
        lambda: run.ends() != before,
    )
    if who == SHARD:
        run.waited("every shard answers", SETTLES_WITHIN_S, run.answering, every=0.2)
    else:
        _away(process)
    run.kills[f"{who} stopped and woken"] += 1


def _away(process: "subprocess.Popen[bytes]") -> None:
    """It goes on sending for a while, beside its successor; then it is gone."""
    try:
        process.wait(GOES_ON_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
