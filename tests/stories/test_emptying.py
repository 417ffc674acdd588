"""A node of the local cluster is emptied under load, and no request notices."""

import pytest

from midstage.local.platform import Platform
from tests.stories.emptying import a_node_is_emptied

pytestmark = [pytest.mark.platform, pytest.mark.slow]


def test_replicas_serve_elsewhere_before_their_node_is_empty(platform: Platform) -> None:
    a_node_is_emptied(platform, "moved")
