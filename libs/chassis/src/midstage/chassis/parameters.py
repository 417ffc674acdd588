"""What a query may hold: the parameters that its route declares, each once but for lists.

A misspelt filter would be no filter, and of two values one would be lost: both are refused (400)
before the route is asked. Routes that no document shows declare nothing and may be given anything.
Names that follow a pattern are declared as OpenAPI has them, as an exploded object with
``patternProperties`` among the ``parameters`` of the route's ``openapi_extra``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args, get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from midstage.contracts.errors import RefusedError

_LISTS = (list, tuple, set, frozenset, Sequence)
_LONGEST_SAID = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What one route takes: by name whether it may come again, and what names look like that may.

    The patterns stand under what they are called in the document.
    """

    again: Mapping[str, bool] = field(default_factory=dict)
    patterns: Mapping[str, re.Pattern[str]] = field(default_factory=dict)

    def refuse(self, given: Sequence[tuple[str, str]]) -> None:
        """RefusedError (400) for a name that is not declared, or comes again and must not."""
        times = dict[str, int]()
        for name, _ in given:
            times[name] = times.get(name, 0) + 1
        for name, number in times.items():
            again = self.again.get(name, self._looks_like_one(name))
            said = name[:_LONGEST_SAID]
            if again is None:
                raise RefusedError(f"{said}: no such parameter; {self._there_are()}", status=400)
            if number > 1 and not again:
                raise RefusedError(f"{said}: given {number} times; give it once", status=400)

    def _looks_like_one(self, name: str) -> bool | None:
        return any(pattern.search(name) for pattern in self.patterns.values()) or None

    def _there_are(self) -> str:
        known = (*sorted(self.again), *self.patterns)
        return f"there are {', '.join(known)}" if known else "there are none here"


class Parameters:
    """A dependency of a whole application; what a route declares is found out once."""

    def __init__(self) -> None:
        """No route is known yet."""
        self._known = dict[int, Declared]()

    async def __call__(self, request: Request) -> None:
        """Refuse what the route that was found does not declare."""
        route = request.scope["route"]
        if not request.scope["query_string"] or not route.include_in_schema:
            return
        if id(route) not in self._known:
            self._known[id(route)] = declared(route)
        self._known[id(route)].refuse(request.query_params.multi_items())


def declared(route: APIRoute) -> Declared:
    """What the route takes, in its function, in what that depends on, and in its document."""
    again = dict(_declared(route.dependant))
    patterns = dict[str, re.Pattern[str]]()
    for one in (route.openapi_extra or {}).get("parameters", ()):
        schema = one["schema"] if one["in"] == "query" else {}
        if "patternProperties" in schema:
            patterns[one["name"]] = re.compile("|".join(schema["patternProperties"]))
        elif schema:
            again[one["name"]] = schema.get("type") == "array"
    return Declared(again=again, patterns=patterns)


def _declared(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    for one in dependant.query_params:
        yield one.alias, _is_list(one.field_info.annotation)
    for other in dependant.dependencies:
        yield from _declared(other)


def _is_list(annotation: object) -> bool:
    """Also one that may be left out."""
    return any(
        get_origin(one) in _LISTS or one in _LISTS for one in (annotation, *get_args(annotation))
    )
