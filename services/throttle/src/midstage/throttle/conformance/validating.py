"""Cases of what envoyproxy/ratelimit refuses, in a request and in its files of rules."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from midstage.chassis.cases import Differing, Shape
from midstage.contracts.errors import RefusedError
from midstage.throttle.conformance.shapes import CaseError, compared
from midstage.throttle.decide.imported.book import Book
from midstage.throttle.decide.imported.counting import Counters
from midstage.throttle.model.imported import Descriptor, Entry, Request

_NO_RULES: Final = msgspec.Raw()
_GOOD: Final = {
    "domain": "d",
    "descriptors": [{"key": "k", "rate_limit": {"unit": "minute", "requests_per_unit": 1}}],
}
_BAD: Final = {"domain": "d", "descriptors": [{"value": "a descriptor without a key"}]}


class _Asked(Shape, frozen=True, kw_only=True):
    domain: str
    descriptors: Sequence[Sequence[Entry]]


class _Expected(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    error_contains: str | None = None
    ok: bool | None = None
    old_limits_still_enforced: bool | None = None
    config_load_error_counter: int | None = None
    note: str = ""


class _Options(Shape, frozen=True, kw_only=True):
    merge: bool = False
    merge_domain_configs: bool = False


class _Case(Shape, frozen=True, kw_only=True):
    request: _Asked | None = None
    config: msgspec.Raw = _NO_RULES
    configs: Sequence[msgspec.Raw] | None = None
    config_ref: str = ""
    options: _Options = _Options()
    expect: _Expected


_CASE: Final = msgspec.json.Decoder(_Case)


def judged(raw: msgspec.Raw, configs: Mapping[str, msgspec.Raw]) -> Sequence[Differing]:
    """The error that comes, or none where none is expected."""
    case = _CASE.decode(raw)
    if case.expect.old_limits_still_enforced is not None:
        return _kept(case.expect)
    found = _error(case, configs)
    wanted = case.expect.error_contains
    if wanted is None:
        return [Differing(field="error", expected=None, found=found)] if found else []
    if found is None or wanted not in found:
        return [Differing(field="error", expected=wanted, found=found)]
    return []


def _error(case: _Case, configs: Mapping[str, msgspec.Raw]) -> str | None:
    contents = list(case.configs or [])
    contents += [case.config] if bytes(case.config) else []
    contents += [configs[case.config_ref]] if case.config_ref in configs else []
    book = Book(merge=case.options.merge or case.options.merge_domain_configs)
    decoded = [
        (f"file {number}", msgspec.json.decode(each)) for number, each in enumerate(contents)
    ]
    failure = book.load(decoded)
    if failure is not None or case.request is None:
        if case.request is None and not contents:
            raise CaseError("neither a request nor a config is there to be refused")
        return None if failure is None else str(failure)
    asked = Request(
        domain=case.request.domain,
        descriptors=tuple(Descriptor(entries=tuple(each)) for each in case.request.descriptors),
    )
    try:
        Counters().answer(book.domains, asked, 0)
    except RefusedError as e:
        return str(e)
    return None


def _kept(expected: _Expected) -> Sequence[Differing]:
    """A reload that fails, between two requests that meet one limit."""
    book, counters = Book(), Counters()
    book.load([("good", _GOOD)])
    asked = Request(domain="d", descriptors=(Descriptor(entries=(("k", "v"),)),))
    first = counters.answer(book.domains, asked, 0)
    book.load([("bad", _BAD)])
    second = counters.answer(book.domains, asked, 0)
    wanted = {
        name: value
        for name, value in msgspec.structs.asdict(expected).items()
        if value is not None and name != "note"
    }
    found = {
        "old_limits_still_enforced": not first.over and second.over,
        "config_load_error_counter": book.failed,
    }
    return list(compared(wanted, found))
