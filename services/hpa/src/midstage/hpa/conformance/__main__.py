"""``python -m midstage.hpa.conformance FILE``: a line for each failing case, then the sums."""

import sys
from collections.abc import Iterator, Sequence

import msgspec

from midstage.chassis.cases import Differing, judge
from midstage.hpa.conformance import hpav2, hpav2_cases, kpa
from midstage.hpa.conformance.shapes import File

_FILE = msgspec.json.Decoder(File)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all pass, 1 when one fails, 2 when the file can't be read."""
    return judge(
        _judgements,
        arguments,
        prog="python -m midstage.hpa.conformance",
        about=__doc__,
        cases="hpa_cases or kpa_cases",
    )


def _judgements(content: bytes) -> Iterator[tuple[str, Sequence[Differing]]]:
    file = _FILE.decode(content)
    one = _of_kpa if b"KPA" in bytes(file.meta) else _of_hpav2
    for case in file.cases:
        yield one(case)


def _of_hpav2(raw: msgspec.Raw) -> tuple[str, Sequence[Differing]]:
    case = hpav2_cases.DECODER.decode(raw)
    return f"{case.id} {case.name}".strip(), hpav2.judged(case)


def _of_kpa(raw: msgspec.Raw) -> tuple[str, Sequence[Differing]]:
    case = kpa.DECODER.decode(raw)
    return f"{case.id} {case.name}".strip(), kpa.judged(case)


if __name__ == "__main__":
    sys.exit(main())
