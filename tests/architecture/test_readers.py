"""Every service uses the topics that say so, and no others."""

import re
from collections.abc import Set

import pytest

from midstage.contracts import topics
from midstage.contracts.topics import TOPICS, Topic

from .conftest import Distribution, distributions

SERVICES = [each for each in distributions() if each.folder.parent.name == "services"]
NAMED = {name: each for name, each in vars(topics).items() if isinstance(each, Topic)}


def test_every_topic_has_one_name_in_code() -> None:
    assert sorted(each.name for each in NAMED.values()) == sorted(each.name for each in TOPICS)


@pytest.mark.parametrize("service", SERVICES, ids=lambda each: each.name)
def test_a_service_uses_the_topics_that_name_it(service: Distribution) -> None:
    name = service.folder.name
    naming = {
        topic
        for topic, each in NAMED.items()
        if name in each.readers or re.search(rf"\b{name}\b", each.writer)
    }
    assert _used("\n".join(each.read_text() for each in service.modules)) == naming


def _used(code: str) -> Set[str]:
    imported = re.findall(r"from midstage\.contracts\.topics import (\([^)]*\)|.*)", code)
    named = {*re.findall(r"\btopics\.([A-Z]+)\b", code), *re.findall(r"[A-Z_]+", str(imported))}
    return named & NAMED.keys()
