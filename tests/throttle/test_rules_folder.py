"""A folder of rules: what is read of it, when it is taken, and what is refused."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from midstage.throttle.adapters.imported.folder import (
    DEEPEST,
    MOST_BYTES,
    MOST_FILES,
    Folder,
    digest,
)
from midstage.throttle.adapters.imported.watching import Watching
from midstage.throttle.decide.imported.book import Book
from midstage.throttle.decide.imported.counting import Counters
from midstage.throttle.decide.imported.matching import matched
from midstage.throttle.decide.imported.reading import RuleError
from midstage.throttle.metrics import RuleMetrics
from midstage.throttle.model.imported import Descriptor


def rule(requests: int, *, domain: str = "d", key: str = "k") -> str:
    return f"""
domain: {domain}
descriptors:
  - key: {key}
    rate_limit:
      unit: minute
      requests_per_unit: {requests}
"""


class Watched:
    """A folder, what watches it, and what came of it."""

    def __init__(self, path: Path, *, merge: bool = False) -> None:
        self.path = path
        self.registry = CollectorRegistry()
        self.book = Book(merge=merge, reserved={"midstage"})
        metrics = RuleMetrics(self.registry, Counters())
        self.watching = Watching(folder=Folder(path), book=self.book, metrics=metrics)

    def write(self, name: str, content: str | bytes) -> None:
        data = content.encode() if isinstance(content, str) else content
        (self.path / name).write_bytes(data)

    def settle(self) -> None:
        """Two looks in a row that find the same."""
        self.watching.look()
        self.watching.look()

    def limit(self, domain: str = "d", key: str = "k", value: str = "v") -> int | None:
        match = matched(self.book.domains, domain, Descriptor(entries=((key, value),)))
        return None if match is None else match.rule.requests

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"midstage_throttle_{name}", labels) or 0.0


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_the_first_look_counts_at_once(watched: Watched) -> None:
    assert watched.watching.closed() is not None
    watched.write("a.yaml", rule(3))
    watched.watching.look()
    assert watched.limit() == 3
    assert watched.watching.closed() is None


def test_what_changes_while_it_is_looked_at_is_not_taken_before_it_stands_still(
    watched: Watched,
) -> None:
    watched.write("a.yaml", rule(3))
    watched.settle()
    watched.write("a.yaml", "domain: d\ndescriptors: []\n")  # half of what is to come
    watched.watching.look()
    assert watched.limit() == 3
    watched.write("a.yaml", rule(4))
    watched.watching.look()
    assert watched.limit() == 3
    watched.watching.look()
    assert watched.limit() == 4
    assert watched.counted("rule_loads_total", result="taken") == 2


def test_a_mount_of_kubernetes_is_read_once_and_followed_through_its_swap(
    watched: Watched,
) -> None:
    for version, requests in (("..one", 3), ("..two", 5)):
        (watched.path / version).mkdir()
        watched.write(f"{version}/a.yaml", rule(requests))
        swapped = watched.path / "..data_tmp"
        swapped.symlink_to(version)
        swapped.rename(watched.path / "..data")
        if version == "..one":
            (watched.path / "a.yaml").symlink_to("..data/a.yaml")
        watched.settle()
        assert watched.limit() == requests
    assert watched.counted("rule_loads_total", result="refused") == 0


def test_files_of_folders_below_are_rules_too(watched: Watched) -> None:
    (watched.path / "team").mkdir()
    watched.write("team/b.yaml", rule(2, domain="b"))
    watched.write("a.yaml", rule(1, domain="a"))
    watched.settle()
    assert (watched.limit("a"), watched.limit("b")) == (1, 2)


def test_a_bad_file_keeps_every_rule_and_says_where(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.write("a.yaml", rule(3, domain="a"))
    watched.write("b.yaml", rule(4, domain="b"))
    watched.settle()
    watched.write("a.yaml", rule(9, domain="a"))
    watched.write("b.yaml", rule(4, domain="b").replace("minute", "fortnight"))
    watched.settle()
    assert (watched.limit("a"), watched.limit("b")) == (3, 4)
    refused = watched.book.refused
    assert str(refused) == (
        "b.yaml: invalid rate limit unit 'fortnight' (at descriptors[0].rate_limit)"
    )
    (logged,) = [each for each in caplog.records if each.getMessage() == "rules_refused"]
    assert vars(logged)["fields"] == {
        "reason": str(refused),
        "file": "b.yaml",
        "path": "descriptors[0].rate_limit",
        "line": 5,
        "in_force": "those before",
    }
    assert watched.counted("rules_stale") == 1
    watched.settle()
    assert watched.counted("rule_loads_total", result="refused") == 1  # once, not each look
    watched.write("b.yaml", rule(5, domain="b"))
    watched.settle()
    assert (watched.limit("a"), watched.limit("b")) == (9, 5)
    assert watched.counted("rules_stale") == 0


def test_a_refusal_knows_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("domain: d\ndescriptors:\n  - key: k\n  - value: v\n")
    folder, book = Folder(tmp_path), Book()
    refused = book.load(folder.documents(folder.files()))
    assert refused is not None
    assert (refused.path, folder.line(refused)) == ("descriptors[1]", 4)


def test_a_folder_that_is_away_keeps_the_rules(watched: Watched) -> None:
    watched.write("a.yaml", rule(3))
    watched.settle()
    away = watched.path.rename(watched.path.with_name("away"))
    watched.settle()
    assert watched.limit() == 3
    assert watched.counted("rules_stale") == 1
    away.rename(watched.path)
    watched.settle()
    assert watched.counted("rules_stale") == 0


def test_no_rule_is_in_force_where_the_first_files_are_bad(watched: Watched) -> None:
    watched.write("a.yaml", "domain: ''\n")
    watched.watching.look()
    assert watched.watching.closed() is None
    assert (watched.book.loaded, dict(watched.book.domains)) == (0, {})


def test_an_emptied_folder_has_no_rules(watched: Watched) -> None:
    watched.write("a.yaml", rule(3))
    watched.settle()
    (watched.path / "a.yaml").unlink()
    watched.settle()
    assert watched.limit() is None


BAD: Mapping[str, tuple[str | bytes, str]] = {
    "alias bomb": (
        "domain: d\na0: &a0 [x]\n"
        + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 20)),
        "more than 20000 values",
    ),
    "alias tower": (
        "domain: d\na0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 40)),
        "nests deeper than",
    ),
    "alias of itself": ("domain: d\ndescriptors: &d [*d]\n", "no anchor before has the name d"),
    "merge of a text": ("domain: d\n<<: text\n", "<< takes mappings alone"),
    "no utf-8": (b"domain: \xff\n", "not UTF-8"),
    "no yaml": ("domain: [\n", "error loading config file"),
    "deep": ("domain: d\ndescriptors: " + "[" * 40 + "]" * 40, "nests deeper than"),
    "many": ("domain: d\ndescriptors:\n" + "- {key: k}\n" * 9000, "more than 20000 values"),
    "large": (b"# " + b"x" * MOST_BYTES, "larger than"),
    "twice": ("domain: d\ndomain: e\n", "stands twice"),
    "two documents": (rule(1) + "---" + rule(2), "has one document"),
    "empty": ("", "cannot have empty domain"),
    "list": ("- domain: d\n", "is no map"),
    "ours": (rule(1, domain="midstage"), "the platform's own"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_could_harm_is_refused_with_its_file(watched: Watched, case: str) -> None:
    content, why = BAD[case]
    watched.write("bad.yaml", content)
    watched.settle()
    refused = watched.book.refused
    assert refused is not None
    assert refused.file == "bad.yaml"
    assert why in str(refused)


def test_what_is_written_once_and_repeated_is_read_as_if_it_were_written_out(
    watched: Watched,
) -> None:
    watched.write(
        "a.yaml",
        """
domain: d
descriptors:
  - &first
    key: k
    rate_limit: &limit {unit: day, requests_per_unit: 3}
  - <<: *first
    value: v
  - {key: j, rate_limit: {<<: [*limit, {unit: year, name: n}], requests_per_unit: 7}}
  - {key: i, rate_limit: *limit}
""",
    )
    watched.settle()
    assert watched.book.refused is None
    assert watched.limit(value="v") == watched.limit(value="w") == watched.limit(key="i") == 3
    match = matched(watched.book.domains, "d", Descriptor(entries=(("j", ""),)))
    assert match is not None
    assert (match.rule.requests, match.rule.unit, match.rule.name) == (7, "day", "n")


def test_values_stay_the_text_that_they_are(watched: Watched) -> None:
    texts = ("no", "007", "0x1F", "12:30", "true", "2026-11-26", "1_000")
    descriptors = "".join(
        f"  - {{key: k, value: {text}, rate_limit: {{unit: day, requests_per_unit: {n}}}}}\n"
        for n, text in enumerate(texts, 1)
    )
    watched.write("a.yaml", f"domain: d\ndescriptors:\n{descriptors}")
    watched.settle()
    assert [watched.limit(value=text) for text in texts] == list(range(1, len(texts) + 1))


def test_beneath_metadata_values_are_what_yaml_makes_of_them(watched: Watched) -> None:
    watched.write(
        "a.yaml",
        """
domain: d
descriptors:
  - key: k
    value: 007
    metadata: {name: 7, value: no, nested: [{key: 1.5, unit: ~}], day: 2026-11-26}
    rate_limit: {unit: day, requests_per_unit: 1}
""",
    )
    watched.settle()
    match = matched(watched.book.domains, "d", Descriptor(entries=(("k", "007"),)))
    assert match is not None
    nested = [{"key": 1.5, "unit": None}]
    assert match.rule.metadata == {
        "name": 7, "value": False, "nested": nested, "day": "2026-11-26",
    }  # fmt: skip


def test_a_pipe_is_not_waited_for_and_links_to_folders_are_not_entered(watched: Watched) -> None:
    os.mkfifo(watched.path / "pipe")
    (watched.path / "self").symlink_to(watched.path)
    watched.write("a.yaml", rule(3))
    watched.write(".hidden.yaml", rule(9))
    watched.settle()
    assert watched.limit() == 3


def test_too_many_files_and_folders_are_refused(tmp_path: Path) -> None:
    for number in range(MOST_FILES + 1):
        (tmp_path / f"{number}.yaml").write_text("domain: d\n")
    with pytest.raises(RuleError, match=f"more than {MOST_FILES} files"):
        Folder(tmp_path).files()
    deep = tmp_path / "deep" / "/".join("d" * (DEEPEST + 1))
    deep.mkdir(parents=True)
    with pytest.raises(RuleError, match="nest deeper"):
        Folder(tmp_path / "deep").files()


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("nowhere")
    with pytest.raises(RuleError, match=r"a\.yaml: the file can't be read"):
        Folder(tmp_path).files()


def test_several_files_of_a_domain_are_merged_where_that_is_set(tmp_path: Path) -> None:
    for merge in (False, True):
        watched = Watched(tmp_path, merge=merge)
        watched.write("a.yaml", rule(1))
        watched.write("b.yaml", rule(2, key="other"))
        watched.settle()
        assert (watched.book.refused is None) is merge
    assert (watched.limit(), watched.limit(key="other")) == (1, 2)


STEPS = st.lists(
    st.sampled_from(["look"]) | st.tuples(st.sampled_from("ab"), st.integers(0, 9) | st.none()),
    max_size=25,
)
"""A look, or what is written to a file: a limit, or what is no file of rules."""


@given(STEPS)
def test_in_force_is_what_stood_still_last_as_a_whole(
    steps: list[str | tuple[str, int | None]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        watched = Watched(Path(folder))
        written: dict[str, int | None] = {}
        looks: list[dict[str, int | None]] = []
        in_force: dict[str, int | None] = {}
        for step in steps:
            if isinstance(step, tuple):
                name, requests = step
                written[name] = requests
                watched.write(name, "domain:" if requests is None else rule(requests, domain=name))
                continue
            watched.watching.look()
            stands = not looks or looks[-1] == written
            looks.append(dict(written))
            if stands and None not in written.values():
                in_force = dict(written)
            assert {name: watched.limit(name) for name in watched.book.domains} == in_force


@given(st.dictionaries(st.text(max_size=3), st.binary(max_size=3), max_size=3))
def test_only_the_same_files_have_the_same_digest(files: dict[str, bytes]) -> None:
    shifted = {name + "x": content for name, content in files.items()}
    assert digest(files) == digest(dict(files))
    assert not files or digest(files) != digest(shifted)


def test_a_name_and_a_content_never_run_into_one_another() -> None:
    assert digest({"a": b"bc"}) != digest({"ab": b"c"})
