"""All that is measured on a real Kubernetes, one race after the other, each on one of its own."""

from pathlib import Path

from tests.bench import clusters, telling, upgrading
from tests.bench.figures import Figure
from tests.bench.rounds import Size

RACES = (clusters.race, telling.race, upgrading.race)


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """The figures of all races."""
    return [
        figure
        for each in RACES
        for figure in each(bootstrap=bootstrap, directory=directory, size=size)
    ]
