"""The same platform on a real Kubernetes of its own; deploy and control have only their rights."""

from collections.abc import Iterator

import pytest

from midstage.local.options import Where
from midstage.local.platform import Platform
from tests.stories.evidence import Orders
from tests.stories.mortal import SPEED, mortal

from .seen import Seen, administrator


@pytest.fixture(scope="session")
def platform(orders: Orders, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The whole platform on Kubernetes, replicas ten times as fast as in the trace."""
    with Platform(
        tmp_path_factory.mktemp("stories-kubernetes"),
        speed=SPEED,
        cluster=Where.KUBERNETES,
        instead=mortal(orders),
    ) as running:
        yield running


@pytest.fixture(scope="session")
def seen(platform: Platform) -> Iterator[Seen]:
    """What the Kubernetes of the stories says itself, to its administrator."""
    with administrator(platform) as found:
        yield found
