"""What a question comes to before anything is counted: as long as the rules stay, always the same.

Which rule holds for each descriptor, how many hits it adds, and which of the rules count: not the
unlimited ones, and not those that another one of the question replaces.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from midstage.contracts.errors import RefusedError
from midstage.throttle.decide.imported.matching import matched
from midstage.throttle.model.imported import Match, Node, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question by the rules: for each descriptor its hits, and the match that counts, if any.

    ``free`` are the numbers of the unlimited ones.
    """

    request: Request
    hits: tuple[int, ...]
    counting: tuple[Match | None, ...]
    free: tuple[int, ...]


def asked(domains: Mapping[str, Node], request: Request) -> Asked:
    """What ``request`` comes to; RefusedError where it asks nothing."""
    if not request.domain:
        raise RefusedError("rate limit domain must not be empty", status=400)
    if not request.descriptors:
        raise RefusedError("rate limit descriptor list must not be empty", status=400)
    found = [matched(domains, request.domain, each) for each in request.descriptors]
    replaced = {name for match in found if match is not None for name in match.rule.replaces}
    return Asked(
        request=request,
        hits=tuple(
            max(1, request.hits) if each.hits is None else each.hits for each in request.descriptors
        ),
        counting=tuple(
            None
            if match is None or match.rule.unit is None or match.rule.name in replaced
            else match
            for match in found
        ),
        free=tuple(
            number
            for number, match in enumerate(found)
            if match is not None and match.rule.unit is None
        ),
    )
