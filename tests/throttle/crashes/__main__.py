"""``python -m tests.throttle.crashes``: throttles under load are killed again and again.

Prints a line for each limit and one for all; ends with 1 where more was admitted than any window
allows, less than 90 % of what the limits allowed, less than 98 % while nobody was killed (``--kills
0 --orderly 5``: but all came and went in order), or anything by a failure rule. ``--unkept`` and
``--leases-uncounted`` are to be found out.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from midstage.local.kafka import running_kafka
from tests.throttle.crashes.judging import Told
from tests.throttle.crashes.run import Plan, crashed

ENOUGH = 0.9
ENOUGH_IN_PEACE = 0.98


def main(arguments: Sequence[str]) -> int:
    """Run as asked; 0 where the limits held and enough passed."""
    parser = argparse.ArgumentParser(prog="tests.throttle.crashes", description=__doc__)
    parser.add_argument("--kafka", default="", help="its address; one of its own by default")
    parser.add_argument("--owners", type=int, default=3)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument(
        "--orderly", type=int, default=0, help="so often one goes and comes, and all restart"
    )
    parser.add_argument("--checks", type=int, default=0, help="so many at the least")
    parser.add_argument("--steady", type=int, default=3000, help="so many after the last kill")
    parser.add_argument("--answer-within-ms", type=float, default=30.0)
    parser.add_argument(
        "--minutes", type=float, default=120.0, help="no kill after them, and no check much later"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unkept", action="store_true", help="counters die with the process")
    parser.add_argument("--leases-uncounted", action="store_true", help="leases are not subtracted")
    asked = parser.parse_args(arguments)
    plan = Plan(
        owners=asked.owners,
        kills=asked.kills,
        orderly=asked.orderly,
        checks=asked.checks,
        steady=asked.steady,
        answer_within_ms=asked.answer_within_ms,
        kept=not asked.unkept,
        counted=not asked.leases_uncounted,
        seed=asked.seed,
        within_s=60 * asked.minutes,
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
    found = told.verdicts()
    for each in found:
        sys.stdout.write(
            f"{each.name}: {each.checks} checks, {each.failed} unanswered; {each.admitted} "
            f"admitted of {each.allowed} allowed, {each.admitted_in_peace} of "
            f"{each.allowed_in_peace} in peace; worst window {each.over:+.1f}\n"
        )
    over = max(0.0, *(each.over for each in found))
    share = sum(each.admitted for each in found) / sum(each.allowed for each in found)
    in_peace = sum(e.admitted_in_peace for e in found) / sum(e.allowed_in_peace for e in found)
    sys.stdout.write(
        f"{sum(each.checks for each in found)} checks, {told.kills} kills, {told.stops} orderly "
        f"stops, {told.takings} takings, at the least {told.handed} left and {told.forwarded} "
        f"forwarded: overshoot {over:.1f}, admitted {share:.1%} of what is allowed, {in_peace:.1%} "
        f"in peace, failure_mode_allowed {told.failure_mode_allowed}\n"
    )
    enough = share >= (ENOUGH if told.kills else ENOUGH_IN_PEACE) and in_peace >= ENOUGH_IN_PEACE
    return 0 if not over and enough and not told.failure_mode_allowed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
