"""The API server, its store or control dies under load: nothing is lost, and nothing told twice."""

import pytest

from midstage.local.platform import Platform
from tests.stories.loop import put_settled, spec
from tests.stories.steady import steady
from tests.stories.test_loop import GOOD

from .seen import Seen, assert_told_exactly, doubled, told

pytestmark = [
    *(pytest.mark.kubernetes, pytest.mark.platform, pytest.mark.slow),
]


@pytest.mark.parametrize("name", ["apiserver", "etcd", "control"])
def test_its_death_under_load_loses_and_doubles_nothing(
    platform: Platform, seen: Seen, name: str
) -> None:
    put_settled(platform, "steady", spec("steady", replicas=4))
    before = len(doubled(told(platform)))
    with steady(platform, "steady", callers=4) as load:
        platform.kill(name)
        for replicas in (3, 4):
            put_settled(platform, "steady", spec("steady", replicas=replicas))
    assert load.share_ok >= GOOD, load.ends
    assert not load.aborted, load.ends
    assert_told_exactly(platform, seen)
    assert len(doubled(told(platform))) == before
