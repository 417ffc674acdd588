"""``python -m tests.throttle.crashes``: throttles under load are killed again and again.

Prints a line for each limit and one for all; ends with 1 where more was admitted than any window
allows, less than 90 % of what the limits allowed, less than 98 % while nobody was killed, or
anything by a failure rule. ``--unkept`` and ``--leases-uncounted`` are to be found out.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from midstage.local.kafka import running_kafka
from tests.throttle.crashes.judging import Told, gaps_s
from tests.throttle.crashes.run import Plan, crashed

ENOUGH = 0.9
ENOUGH_IN_PEACE = 0.98


def main(arguments: Sequence[str]) -> int:
    """Run as asked; 0 where the limits held and enough passed."""
    parser = argparse.ArgumentParser(prog="tests.throttle.crashes", description=__doc__)
    parser.add_argument("--kafka", default="", help="its address; one of its own by default")
    parser.add_argument("--owners", type=int, default=3)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--checks", type=int, default=0, help="so many at the least")
    parser.add_argument("--steady", type=int, default=3000, help="so many after the last kill")
    parser.add_argument("--answer-within-ms", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unkept", action="store_true", help="counters die with the process")
    parser.add_argument("--leases-uncounted", action="store_true", help="leases are not subtracted")
    asked = parser.parse_args(arguments)
    plan = Plan(
        owners=asked.owners,
        kills=asked.kills,
        checks=asked.checks,
        steady=asked.steady,
        answer_within_ms=asked.answer_within_ms,
        kept=not asked.unkept,
        counted=not asked.leases_uncounted,
        seed=asked.seed,
    )
    if asked.kafka:
        return said(crashed(plan, kafka=asked.kafka))
    with (
        tempfile.TemporaryDirectory(prefix="midstage-crashes-") as folder,
        running_kafka(Path(folder)) as kafka,
    ):
        return said(crashed(plan, kafka=kafka))


def said(told: Told) -> int:
    """Say what was found."""
    for each in told.seen:
        longest = ", ".join(f"{gap:.1f}" for gap in gaps_s(each)[:3])
        sys.stdout.write(
            f"{each.limit.limit}: {len(each.asked)} checks, {each.failed} unanswered; "
            f"{each.admitted()} admitted of {each.allowed()} allowed, "
            f"worst {each.overshoot():+.1f}, longest without a pass {longest} s\n"
        )
    share, in_peace = told.share(), told.share(told.steady_ns)
    sys.stdout.write(
        f"{told.checks} checks, {told.kills} kills, {told.stops} orderly stops, "
        f"{told.takings} takings, {told.forwarded} forwarded at the least: "
        f"overshoot {max(0.0, told.overshoot):.1f}, admitted {share:.1%} of what is allowed, "
        f"{in_peace:.1%} after the last kill, failure_mode_allowed {told.failure_mode_allowed}\n"
    )
    enough = share >= ENOUGH and in_peace >= ENOUGH_IN_PEACE
    return 0 if told.overshoot <= 0 and enough and not told.failure_mode_allowed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
