"""Conformance commands: an engine judged by a file of cases, one line for each that fails."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

Judgement = tuple[str, Sequence[object]]
"""A case by its name, and why it fails, as a line says it; nothing where it passes."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The base of what is read from a file; what is not known is for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """A field that is not as the case expects it."""

    field: str
    expected: object
    found: object

    def __str__(self) -> str:
        """As a line says it."""
        return f"{self.field} {self.expected!r} expected, {self.found!r} found"


def judge(
    judgements: Callable[[bytes], Iterable[Judgement]],
    arguments: Sequence[str] | None,
    *,
    prog: str,
    about: str | None,
    cases: str,
) -> int:
    """The command: 0 when all pass, 1 when one fails, 2 when the file can't be read.

    ``judgements`` of the file's content raise MsgspecError where it has none; ``about`` and
    ``cases`` (which file is meant) are for its help.
    """
    parser = argparse.ArgumentParser(prog=prog, description=about)
    parser.add_argument("file", type=Path, help=f"cases in the format of {cases}")
    file: Path = parser.parse_args(arguments).file
    try:
        judged = list(judgements(file.read_bytes()))
    except (OSError, msgspec.MsgspecError) as e:
        sys.stderr.write(f"{file} can't be read: {e}\n")
        return 2
    failed = [(name, reasons) for name, reasons in judged if reasons]
    for name, reasons in failed:
        sys.stdout.write(f"{name}: {'; '.join(str(each) for each in reasons)}\n")
    sys.stdout.write(f"{len(judged) - len(failed)} passed, {len(failed)} failed\n")
    return 1 if failed else 0
