"""A whole run: edges, clients and shards around a broker; everybody dies, and nothing may be lost.

One thread does everything: it feeds, kills, waits for the death, starts again, and at the end lets
everything settle and judges. The same seed does the same deeds; their moments differ. Each wait
has an end, and so has the whole: what was waited for in vain is a part of the verdict.
"""

import signal
import time
from pathlib import Path
from random import Random

from tests.crash.asked import status
from tests.crash.cast import KEY, LEDGER, Plan, begun
from tests.crash.children import Broker
from tests.crash.deeds import SHARD, deeds
from tests.crash.doing import do
from tests.crash.feed import accepted
from tests.crash.going import SETTLES_WITHIN_S, Run, say
from tests.crash.verdict import Verdict, judged


def run(plan: Plan, folder: Path) -> Verdict:
    """Do all of it; what was found."""
    until = time.monotonic() + plan.within_s
    broker = Broker(folder / "kafka")
    cast = begun(plan, folder, broker)
    began = Run(broker=broker, cast=cast, random=Random(plan.seed), until=until)
    try:
        for child in cast.everybody():
            child.start()
        if began.waited("every shard answers", SETTLES_WITHIN_S, began.answering, every=0.2):
            _through(plan, began)
        began.settle()
        recount, statement = began.recount(), began.statement(plan.closes_within_s)
        evidence = began.evidence()
        for shard in cast.children[SHARD]:
            if shard.ended(signal.SIGTERM) != 0:
                began.vain.append(f"{shard.name} did not end by itself: {shard.words()[-300:]}")
        return judged(
            broker.address,
            ledgers=[child.folder / LEDGER for child in cast.children[SHARD]],
            accepted=accepted([*cast.edges, *cast.clients]),
            keys={feed.edge: KEY for feed in cast.edges},
            evidence=evidence,
            recount=recount,
            statement=statement,
            vain=began.vain,
        )
    finally:
        for child in cast.everybody():
            if child.process is not None:
                child.process.kill()
                child.process.wait()
        broker.close()


def _through(plan: Plan, began: Run) -> None:
    """The deeds of the seed from ``plan.skip`` on, until they are done or time is up."""
    todo = plan.only or deeds(Random(plan.seed), kills=plan.kills)
    for number, deed in enumerate(todo[plan.skip :], plan.skip + 1):
        if began.time_is_up():
            began.vain.append(
                f"time is up after {number - 1} of {len(todo)} deaths; the others: "
                f"--seed {plan.seed} --skip {number - 1}"
            )
            break
        began.feed(plan.events // (len(todo) + 1))
        began.tend()
        do(began, deed)
        said = [status(port) for port in began.cast.ports]
        rows = sum(one[0] for one in said if one is not None)
        say(
            f"{number}/{len(todo)} {deed.who} {deed.place} fed {began.fed:,} counted {rows:,} "
            f"left {max(0, (began.until - time.monotonic()) / 60):.0f} min"
        )
    else:
        began.feed(max(plan.edges + plan.clients, plan.events - began.fed))
