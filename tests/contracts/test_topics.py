"""The rules that every topic obeys, and the page that is made from them."""

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from midstage.contracts.catalogue import main, page
from midstage.contracts.topics import (
    CLUSTER,
    EDGES,
    INVENTORY,
    LOAD,
    REQUESTS,
    SPENDS,
    TOPICS,
    USAGE,
    Kind,
    Topic,
)
from midstage.eventlog.topics import settings_of

PAGE = Path(__file__).parents[2] / "docs" / "topics.md"
NAME = re.compile(r"midstage\.[a-z]+(-[a-z]+)*\.v\d+")


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_is_named_for_its_facts(topic: Topic) -> None:
    assert NAME.fullmatch(topic.name)
    for name in (topic.name, topic.snapshots, *map(topic.dead_letters, topic.refusers)):
        assert re.fullmatch(r"[a-z0-9.-]{1,249}", name)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_has_facts_of_its_kind(topic: Topic) -> None:
    if topic.kind is Kind.STREAM:
        assert topic.facts
        assert topic.union is None
    else:
        assert not topic.facts
        assert get_args(topic.union)
    assert topic.readers
    assert topic.about.endswith(".")


def test_names_and_event_types_are_unique() -> None:
    names = [topic.name for topic in TOPICS]
    types = [event_type for topic in TOPICS if topic != INVENTORY for event_type, _ in topic.facts]
    types += [topic.appended for topic in TOPICS if topic.kind is Kind.VERSIONED]
    assert len(set(names)) == len(names)
    assert len(set(types)) == len(types)
    structs = [fact for topic in TOPICS if topic != INVENTORY for _, fact in topic.facts]
    assert len(set(structs)) == len(structs)


def test_the_inventory_holds_the_facts_of_the_clusters_under_the_same_keys() -> None:
    """The one topic that repeats another: its newest of each key, for whoever starts."""
    assert INVENTORY.facts == CLUSTER.facts
    assert INVENTORY.key == CLUSTER.key
    assert INVENTORY.partitions == CLUSTER.partitions
    assert [topic for topic in TOPICS if topic.facts == CLUSTER.facts] == [CLUSTER, INVENTORY]


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_event_types_are_past_and_versioned(topic: Topic) -> None:
    for event_type, fact in topic.facts:
        assert re.fullmatch(r"dev\.midstage(\.[a-z]+){1,2}\.v\d+", event_type)
        assert (fact.__doc__ or "").strip()


def test_partitions_are_as_the_design_says() -> None:
    twelve = {topic for topic in TOPICS if topic.partitions == 12}
    assert twelve == {REQUESTS, EDGES, LOAD, USAGE}
    assert {topic.partitions for topic in TOPICS} == {6, 12}


def test_decisions_and_the_newest_state_are_kept_for_ever_and_observations_for_a_time() -> None:
    for topic in TOPICS:
        for_ever = topic.kind is Kind.VERSIONED or topic in (INVENTORY, SPENDS)
        assert (topic.kept is None) == for_ever, topic.name


def test_a_fold_of_decisions_loses_none_to_compaction() -> None:
    for topic in TOPICS:
        if topic.kind is Kind.VERSIONED:
            itself, *others = settings_of(topic)
            assert (itself.name, itself.compacted, itself.retention_ms) == (topic.name, False, -1)
            assert [one.compacted for one in others if one.name == topic.snapshots] == [True]


def test_the_newest_state_of_each_thing_is_compacted() -> None:
    (itself,) = settings_of(INVENTORY)
    assert (itself.compacted, itself.retention_ms) == (True, -1)


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(TOPICS), "run: make docs"


def test_the_page_tells_each_topic_and_each_fact() -> None:
    text = page(TOPICS)
    for topic in TOPICS:
        assert f"## {topic.name}\n" in text
        for event_type, fact in topic.facts:
            assert f"### {fact.__name__} (`{event_type}`)\n" in text
            assert all(f"| `{field}` |" in text for field in fact.__struct_fields__)
        for member in get_args(topic.union):
            assert f"### {member.__name__}\n" in text
            assert all(f"| `{field}` |" in text for field in member.__struct_fields__)


def test_an_old_page_is_refused_and_written_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "topics.md"
    assert main(["--check", str(file)]) == 1
    file.write_text("old", encoding="utf-8")
    assert main(["--check", str(file)]) == 1
    assert "make docs" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == "old"
    assert main([str(file)]) == 0
    assert main(["--check", str(file)]) == 0


@pytest.mark.parametrize("arguments", [[], ["--check"], ["a", "b"], ["--force"]])
def test_wrong_arguments_are_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.slow
def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "midstage.contracts.catalogue", "--check", str(PAGE)]
    assert subprocess.run(command, check=False).returncode == 0
