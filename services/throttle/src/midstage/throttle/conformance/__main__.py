"""``python -m midstage.throttle.conformance FILE``: a line for each failing case, then the sums."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from midstage.throttle.conformance import (
    breaking,
    buckets,
    failing,
    imported,
    leasing,
    reserving,
    telling,
    validating,
    windows,
)
from midstage.throttle.conformance.shapes import CaseError, Differing, File, Heading

Judge = Callable[[msgspec.Raw, Mapping[str, msgspec.Raw]], Sequence[Differing]]

_FILE: Final = msgspec.json.Decoder(File)
_HEADING: Final = msgspec.json.Decoder(Heading)
_JUDGES: Final[Mapping[str, Judge]] = {
    "descriptor_match": imported.matching,
    "fixed_window": imported.counting,
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
    parser = argparse.ArgumentParser(
        prog="python -m midstage.throttle.conformance", description=__doc__
    )
    parser.add_argument("file", type=Path, help="cases in the format of throttle_cases.json")
    file: Path = parser.parse_args(arguments).file
    try:
        judgements = list(_judgements(file.read_bytes()))
    except (OSError, msgspec.MsgspecError) as e:
        sys.stderr.write(f"{file} can't be read: {e}\n")
        return 2
    failed = [(name, reasons) for name, reasons in judgements if reasons]
    for name, reasons in failed:
        sys.stdout.write(f"{name}: {'; '.join(reasons)}\n")
    sys.stdout.write(f"{len(judgements) - len(failed)} passed, {len(failed)} failed\n")
    return 1 if failed else 0


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
