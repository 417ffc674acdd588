"""The applications in a set of files: which ones, their specs, and where each field stands.

A document is an ``apiVersion: midstage.dev/v1`` ``Application``; or, shorter, a spec with its
``name`` in it; or ``apps``: a list of such, or a mapping of names to specs. What is in a spec is
deploy's to judge; here only ``script_file`` of a check becomes its ``script``.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from midstage.contracts.errors import RefusedError
from midstage.specs import documents, paths
from midstage.specs.documents import Document, beneath
from midstage.specs.texts import text

API_VERSION = "midstage.dev/v1"
KIND = "Application"

Spec = Mapping[str, object]
_TOP = ("apiVersion", "kind", "metadata", "spec")
_PATH = re.compile(r"(?:^|; )([A-Za-z_][^\s:;]*)(?=: )")


class Files(Protocol):
    """Files by their names, relative to one folder."""

    def specs(self) -> Sequence[str]:
        """The names of the files that are read as specs, in order."""
        ...

    def read(self, name: str) -> bytes:
        """The bytes of a file; RefusedError where there is none, or not a plain one."""
        ...

    def shown(self, name: str) -> str:
        """How messages call the file."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One application as written; ``lines`` by the path in its spec, ``line`` where it begins.

    ``file`` as messages call it.
    """

    name: str
    spec: Spec
    file: str
    line: int
    lines: Mapping[str, int]

    def located(self, detail: str) -> str:
        """The refusal with the file behind it, and the lines of the paths that it begins with."""
        found = {line for path in _PATH.findall(detail) if (line := self._line(path))}
        told = ", ".join(str(line) for line in sorted(found)) or str(self.line)
        return f"{detail} ({self.file}, line {told})"

    def _line(self, path: str) -> int | None:
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return None


def applications(files: Files) -> tuple[Application, ...]:
    """All applications, by file and place; RefusedError names every file that is wrong."""
    found: list[Application] = []
    wrong: list[str] = []
    for name in files.specs():
        try:
            found += _of_file(files, name)
        except RefusedError as e:
            wrong.append(f"{files.shown(name)}: {e}")
    if wrong:
        raise RefusedError("; ".join(wrong))
    check_once(found)
    return tuple(found)


def check_once(found: Sequence[Application]) -> None:
    """RefusedError where two are of one name, with both places."""
    seen: dict[str, Application] = {}
    for each in found:
        other = seen.setdefault(each.name, each)
        if other is not each:
            raise RefusedError(
                f"application {each.name!r} is there twice: "
                f"{other.file}, line {other.line}, and {each.file}, line {each.line}"
            )


def _of_file(files: Files, name: str) -> list[Application]:
    parse = documents.of_json if name.endswith(".json") else documents.of_yaml
    return [
        _with_scripts(each, name, files.read)
        for document in parse(text(files.read(name)))
        for each in _of(document, files.shown(name))
    ]


def _of(document: Document, file: str) -> Iterator[Application]:
    match document.value:
        case {"apps": dict() as apps, **rest}:
            _nothing_else(rest)
            for name, spec in apps.items():
                where = f"apps.{name}"
                yield _made(name, _mapping(spec, where), document, file, where)
        case {"apps": list() as apps, **rest}:
            _nothing_else(rest)
            for number, spec in enumerate(apps):
                where = f"apps[{number}]"
                yield _named(_mapping(spec, where), document, file, where)
        case {"apps": _}:
            raise RefusedError("apps: is a list of applications, or a mapping of names to specs")
        case {"apiVersion": _} | {"kind": _}:
            yield _whole(_mapping(document.value, "a document"), document, file)
        case _:
            yield _named(_mapping(document.value, "a document"), document, file, "")


def _whole(given: Spec, document: Document, file: str) -> Application:
    """A document with apiVersion, kind, metadata and spec."""
    for field, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        if given.get(field) != wanted:
            said = f"{given[field]!r} is not" if field in given else "is missing; it is"
            raise RefusedError(f"{field}: {said} {wanted}{_line(document, field)}")
    _only(given, _TOP, "", document)
    metadata = _mapping(given.get("metadata", {}), "metadata")
    _only(metadata, ("name",), "metadata", document)
    if "name" not in metadata:
        raise RefusedError("metadata.name: is missing; say which application it is")
    if "spec" not in given:
        raise RefusedError("spec: is missing; say what the application runs")
    spec = _mapping(given["spec"], "spec")
    if "name" in spec:
        raise RefusedError(
            f"spec.name: stands in metadata.name{_line(document, 'spec.name')}; leave it out here"
        )
    return _made(metadata["name"], spec, document, file, "spec")


def _only(given: Spec, known: Sequence[str], where: str, document: Document) -> None:
    for field in given:
        if field not in known:
            near = difflib.get_close_matches(field, known, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            path = beneath(where, field)
            raise RefusedError(f"{path}: unknown field{_line(document, path)}; {hint}")


def _named(given: Spec, document: Document, file: str, where: str) -> Application:
    if "name" not in given:
        raise RefusedError(f"{beneath(where, 'name')}: is missing; say which application it is")
    spec = {key: value for key, value in given.items() if key != "name"}
    return _made(given["name"], spec, document, file, where)


def _made(name: object, spec: Spec, document: Document, file: str, where: str) -> Application:
    if not isinstance(name, str) or not name:
        raise RefusedError(f"name: {name!r} is no name; put it in quotes")
    begin = f"{where}." if where else ""
    lines = {
        path.removeprefix(begin): line
        for path, line in document.lines.items()
        if path.startswith(begin)
    }
    first = document.lines.get(where) or min(document.lines.values(), default=1)
    return Application(name=name, spec=spec, file=file, line=first, lines=lines)


def _mapping(value: object, where: str) -> Spec:
    if not isinstance(value, dict):
        raise RefusedError(f"{where}: is a mapping with fields like command and replicas")
    return value


def _nothing_else(rest: Mapping[object, object]) -> None:
    if rest:
        raise RefusedError(f"{next(iter(rest))}: stands beside apps; put it into an application")


def _line(document: Document, path: str) -> str:
    return f" (line {document.lines[path]})" if path in document.lines else ""


def _with_scripts(app: Application, file: str, read: Callable[[str], bytes]) -> Application:
    """The application with each ``script_file`` of its checks read."""
    checks = app.spec.get("checks")
    if not isinstance(checks, list):
        return app
    known: list[object] = []
    for number, check in enumerate(checks):
        try:
            known.append(_with_script(check, file, read))
        except RefusedError as e:
            path = f"checks[{number}].script_file"
            line = f" (line {app.lines[path]})" if path in app.lines else ""
            raise RefusedError(f"{path}: {e}{line}") from e
    return replace(app, spec={**app.spec, "checks": known})


def _with_script(check: object, file: str, read: Callable[[str], bytes]) -> object:
    if not isinstance(check, dict) or "script_file" not in check:
        return check
    given = check["script_file"]
    if "script" in check:
        raise RefusedError("stands beside script; give one of them")
    if not isinstance(given, str) or not given:
        raise RefusedError("is the name of a file, relative to the spec")
    script = text(read(paths.beside(file, given)))
    kept = {key: value for key, value in check.items() if key != "script_file"}
    return {**kept, "script": script}
