"""``python -m midstage.throttle.conformance FILE``: a line for each failing case, then the sums."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from midstage.chassis.cases import Differing, judge
from midstage.throttle.conformance import (
    breaking,
    buckets,
    failing,
    imported_counting,
    imported_matching,
    leasing,
    reserving,
    telling,
    validating,
    windows,
)
from midstage.throttle.conformance.shapes import CaseError, File, Heading

Judge = Callable[[msgspec.Raw, Mapping[str, msgspec.Raw]], Sequence[Differing]]

_FILE: Final = msgspec.json.Decoder(File)
_HEADING: Final = msgspec.json.Decoder(Heading)
_JUDGES: Final[Mapping[str, Judge]] = {
    "descriptor_match": imported_matching.matching,
    "fixed_window": imported_counting.counting,
    "validation": validating.judged,
    "bucket": buckets.bucket,
    "gcra": buckets.gcra,
    "moving_window": windows.moving,
    "fixed_from_first_hit": windows.first_hit,
    "sliding_counter": windows.sliding,
    "sliding_vs_edge": windows.edges,
    "apportion": leasing.judged,
    "reserve_settle": reserving.judged,
    "failure": failing.judged,
    "headers": telling.judged,
    "circuit_breaker": breaking.judged,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all pass, 1 when one fails, 2 when the file can't be read."""
    return judge(
        _judgements,
        arguments,
        prog="python -m midstage.throttle.conformance",
        about=__doc__,
        cases="throttle_cases.json",
    )


def _judgements(content: bytes) -> Iterator[tuple[str, Sequence[str]]]:
    file = _FILE.decode(content)
    for raw in file.cases:
        heading = _HEADING.decode(raw)
        yield f"{heading.id} {heading.title}".strip(), _reasons(heading, raw, file.configs)


def _reasons(
    heading: Heading, raw: msgspec.Raw, configs: Mapping[str, msgspec.Raw]
) -> Sequence[str]:
    """Why the case fails; one that can't be put to the engine, as a window of 0 s, fails too."""
    judge = _JUDGES.get(heading.group)
    if judge is None:
        return [f"group {heading.group!r} is not known"]
    try:
        return [str(each) for each in judge(raw, configs)]
    except (CaseError, msgspec.MsgspecError, ArithmeticError, ValueError) as e:
        return [f"can't be judged: {e}"]


if __name__ == "__main__":
    sys.exit(main())
