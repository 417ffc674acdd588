"""``python -m midstage.hpa.conformance FILE``: a line for each failing case, then the sums."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from midstage.hpa.conformance import hpav2, hpav2_cases, kpa
from midstage.hpa.conformance.shapes import Differing, File

_FILE = msgspec.json.Decoder(File)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all pass, 1 when one fails, 2 when the file can't be read."""
    parser = argparse.ArgumentParser(prog="python -m midstage.hpa.conformance", description=__doc__)
    parser.add_argument("file", type=Path, help="cases in the format of hpa_cases or kpa_cases")
    file: Path = parser.parse_args(arguments).file
    try:
        judgements = list(_judgements(file.read_bytes()))
    except (OSError, msgspec.MsgspecError) as e:
        sys.stderr.write(f"{file} can't be read: {e}\n")
        return 2
    failed = [(name, differing) for name, differing in judgements if differing]
    for name, differing in failed:
        sys.stdout.write(f"{name}: {'; '.join(str(each) for each in differing)}\n")
    sys.stdout.write(f"{len(judgements) - len(failed)} passed, {len(failed)} failed\n")
    return 1 if failed else 0


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
