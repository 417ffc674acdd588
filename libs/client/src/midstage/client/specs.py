"""What ``-f`` names: files, folders, bundles (tar.gz or zip), and ``-``, the standard input.

Applications of files and folders are asked for one by one; a bundle goes to deploy as it is, which
takes all of it or nothing. What is in a spec is deploy's to judge.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from midstage.contracts.errors import RefusedError
from midstage.specs import bundle
from midstage.specs.applications import Application, applications, check_once
from midstage.specs.bundle import Packing
from midstage.specs.folder import Folder

STDIN = "-"
LARGEST_BYTES = bundle.LARGEST_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A bundle as it came, and the applications in it."""

    file: str
    raw: bytes
    packing: Packing
    apps: Sequence[Application]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """All that the files ask for: applications by name, and bundles."""

    apps: Mapping[str, Application]
    bundles: Sequence[Packed]

    def all(self) -> Sequence[Application]:
        """Every application, those of the bundles too."""
        return [*self.apps.values(), *(app for each in self.bundles for app in each.apps)]


def read(files: Sequence[str]) -> Given:
    """What the files ask for; RefusedError names the file, where it can the line, and the fault."""
    apps: list[Application] = []
    bundles: list[Packed] = []
    for file in files:
        if file != STDIN and Path(file).is_dir():
            apps += applications(Folder(root=Path(file)))
            continue
        raw = _raw(file)
        packing = bundle.packing_of(raw)
        if packing is None:
            apps += applications(_Single(file=file, raw=raw))
        else:
            bundles.append(_packed(file, raw, packing))
    given = Given(apps={app.name: app for app in apps}, bundles=bundles)
    check_once([*apps, *(app for each in bundles for app in each.apps)])
    if not given.all():
        raise RefusedError(f"no application is in {', '.join(map(_called, files))}")
    return given


@dataclass(frozen=True, slots=True, kw_only=True)
class _Single:
    """One file that was named, and its scripts, which stand beside it."""

    file: str
    raw: bytes

    def specs(self) -> Sequence[str]:
        """The one."""
        return [Path(self.file).name]

    def read(self, name: str) -> bytes:
        """The file itself, or one in its folder."""
        if name == Path(self.file).name:
            return self.raw
        return Folder(root=Path(self.file).parent).read(name)

    def shown(self, name: str) -> str:  # noqa: ARG002  it is shown as it was named
        """As it was named."""
        return _called(self.file)


def _packed(file: str, raw: bytes, packing: Packing) -> Packed:
    try:
        apps = applications(bundle.bundle(raw))
    except RefusedError as e:
        raise RefusedError(f"{_called(file)}: {e}") from e
    return Packed(file=_called(file), raw=raw, packing=packing, apps=apps)


def _raw(file: str) -> bytes:
    try:
        if file == STDIN:
            raw = sys.stdin.buffer.read(LARGEST_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                raw = opened.read(LARGEST_BYTES + 1)
    except OSError as e:
        raise RefusedError(f"{_called(file)} can't be read: {e}") from e
    if len(raw) > LARGEST_BYTES:
        raise RefusedError(f"{_called(file)} is larger than {LARGEST_BYTES} bytes")
    return raw


def _called(file: str) -> str:
    return "the standard input" if file == STDIN else file
