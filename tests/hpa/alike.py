"""Mutants that decide alike, as ``module: changed`` (the line may move), each with its reason."""

from typing import Final

EQUIVALENT: Final = frozenset(
    {
        "stages: before < figure -> before <= figure",  # they are not equal there
        "stages: figure > before -> figure >= before",  # they are not equal there
    }
)
