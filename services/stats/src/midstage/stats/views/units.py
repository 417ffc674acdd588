"""Units as a fact has room for them: a bound on the names, and nothing lost of the amounts."""

from collections.abc import Mapping

from midstage.contracts.usage import OTHERS

MOST_UNITS = 50
"""By one application: more are made-up names, which would make a fact too large to read."""


def bounded(units: Mapping[str, int]) -> dict[str, int]:
    """The units by name; those past the room are added up as one."""
    if len(units) <= MOST_UNITS:
        return dict(units)
    names = sorted(units)
    kept = {name: units[name] for name in names[: MOST_UNITS - 1]}
    rest = sum(units[name] for name in names[MOST_UNITS - 1 :])
    return {**kept, OTHERS: kept.get(OTHERS, 0) + rest}
