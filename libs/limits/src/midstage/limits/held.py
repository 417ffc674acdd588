"""A request that limits let pass, until its block ends."""

from collections.abc import Mapping


class Held:
    """What ``acquire`` gives; say in its block what the request really used."""

    __slots__ = ("_estimated", "_said")

    def __init__(self, estimated: Mapping[str, int]) -> None:
        """So much was asked for of each unit."""
        self._estimated = estimated
        self._said: dict[str, int] = {}

    def used(self, **units: int) -> None:
        """Of each unit that is named so much in all; said again, the last word counts.

        Of others the estimate stands, or nothing where the block raises. ValueError below 0.
        """
        for unit, amount in units.items():
            if amount < 0:
                raise ValueError(f"{unit}: nobody uses {amount}")
        self._said |= units

    def ended(self, *, failed: bool) -> Mapping[str, int]:
        """What was used, of the units for which it is not what was asked for."""
        return {**(dict.fromkeys(self._estimated, 0) if failed else {}), **self._said}
