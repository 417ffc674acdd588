"""Specs in files: the ways to write them, where each field stands, and what is refused."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.errors import RefusedError
from midstage.specs.applications import Application, applications
from midstage.specs.documents import of_yaml
from midstage.specs.folder import Folder

WHOLE = """\
apiVersion: midstage.dev/v1
kind: Application
metadata: {name: chat}
spec:
  command: [serve]
  scaling:
    max: 4
    targets:
      concurrency: 2
---
apiVersion: midstage.dev/v1
kind: Application
metadata:
  name: ocr
spec:
  image: ocr:1
  checks:
    - name: warm
      script: "true"
"""


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Files in memory."""

    files: dict[str, str]

    def specs(self) -> list[str]:
        return sorted(self.files)

    def read(self, name: str) -> bytes:
        if name not in self.files:
            raise RefusedError(f"{name!r} is not there")
        return self.files[name].encode()

    def shown(self, name: str) -> str:
        return f"in/{name}"


def read(text: str, name: str = "a.yaml") -> tuple[Application, ...]:
    return applications(Texts(files={name: text}))


def refused(text: str, name: str = "a.yaml") -> str:
    with pytest.raises(RefusedError) as found:
        read(text, name)
    assert str(found.value).isprintable()
    return str(found.value)


def test_several_documents_of_the_published_kind() -> None:
    chat, ocr = read(WHOLE)
    assert (chat.name, chat.file, chat.line) == ("chat", "in/a.yaml", 4)
    assert chat.spec == {
        "command": ["serve"],
        "scaling": {"max": 4, "targets": {"concurrency": 2}},
    }
    assert chat.lines["scaling.targets.concurrency"] == 9
    assert (ocr.line, ocr.lines["checks[0].script"]) == (15, 19)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{name: a, command: [x]}", ["a"]),
        ("name: a\n---\nname: b\n---\n", ["a", "b"]),
        ("apps: [{name: a}, {name: b}]", ["a", "b"]),
        ("apps: {a: {}, b: {}}", ["a", "b"]),
        ('{"name": "a"}', ["a"]),
        ("", []),
        ("# nothing\n---\n", []),
        ("\ufeffname: a", ["a"]),
    ],
)
def test_the_ways_to_write_applications(text: str, names: list[str]) -> None:
    assert [each.name for each in read(text)] == names


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: a\nenv: &e {A: b}\nx: *e\n", "anchors and aliases are not taken; write it out (l"),
        ("name: a\nname: b\n", "the key 'name' stands twice (line 2, column 1)"),
        ("command: [x]\n", "name: is missing"),
        ("apps: [{command: [x]}]", "apps[0].name: is missing"),
        ("apps: 5", "apps: is a list of applications"),
        ("{apps: {a: {}}, b: 1}", "b: stands beside apps"),
        ("name: 5\n", "name: 5 is no name"),
        ("name: a\nenv: {1: x}\n", "the field 1 is no text; put it in quotes (line 2, column 7)"),
        ("name: a\nenv: {on: x}\n", "the field True is no text"),
        ("[1, 2]", "a document: is a mapping"),
        ("name: [", "in/a.yaml: "),
        ("name: !!python/object:os.system a", "tags like tag:yaml.org,2002:python/object:"),
        ("[" * 3000, "nests deeper than 32 levels (line 1, column 33)"),
        ("kind: Application\nspec: {}", "apiVersion: is missing; it is midstage.dev/v1"),
        ("apiVersion: apps/v1\nkind: Deployment", "apiVersion: 'apps/v1' is not midstage.dev/v1 ("),
        (WHOLE.replace("kind: App", "kind: app", 1), "kind: 'application' is not Application (lin"),
        (WHOLE.replace("metadata", "metdata", 1), "metdata: unknown field (line 3); did you mean"),
        (WHOLE.replace("{name: chat}", "{nam: x}"), "metadata.nam: unknown field (line 3); did yo"),
        (WHOLE.replace("{name: chat}", "{}"), "metadata.name: is missing"),
        (WHOLE.replace("{name: chat}", "{labels: {}}"), "metadata.labels: unknown field"),
        (WHOLE.replace("  command", "  name: x\n  command"), "spec.name: stands in metadata.name"),
        ("apiVersion: midstage.dev/v1\nkind: Application\nmetadata: {name: a}", "spec: is missing"),
        ("name: a\nchecks: [{script: x, script_file: y}]", "checks[0].script_file: stands besi"),
        ("name: a\nchecks: [{script_file: 5}]", "checks[0].script_file: is the name of a file"),
        ("name: a\nchecks: [{script_file: y}]", "checks[0].script_file: 'y' is not there (line 2)"),
    ],
)  # fmt: skip
def test_what_is_no_application_is_refused(text: str, told: str) -> None:
    assert told in refused(text)


def test_one_name_in_two_places_is_refused_with_both() -> None:
    with pytest.raises(RefusedError) as found:
        applications(Texts(files={"a.yaml": "\nname: x", "b.json": '{"name": "x"}'}))
    assert str(found.value) == (
        "application 'x' is there twice: in/a.yaml, line 2, and in/b.json, line 1"
    )


def test_a_refusal_is_told_with_its_lines() -> None:
    chat, _ = read(WHOLE)
    said = "scaling.mx: unknown field; did you mean max?; command[0]: too long; replicas: no"
    assert chat.located(said) == f"{said} (in/a.yaml, line 5, 6)"
    assert chat.located("replicas: 9 is too much") == "replicas: 9 is too much (in/a.yaml, line 4)"
    assert chat.located("no room: none") == "no room: none (in/a.yaml, line 4)"


def test_dates_and_the_like_stay_texts() -> None:
    (app,) = read('name: a\nenv: {D: 2026-11-26, V: "1", M: =, S: null}\n')
    assert app.spec["env"] == {"D": "2026-11-26", "V": "1", "M": "=", "S": None}


PLAIN: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.lists(PLAIN.filter(lambda value: value is not None), min_size=1, max_size=3))
def test_it_reads_what_a_yaml_library_reads(values: list[object]) -> None:
    text = yaml.safe_dump_all(values, default_flow_style=None)
    assert [each.value for each in of_yaml(text)] == values


def test_what_is_wanted_as_text_stays_as_it_is_written() -> None:
    text = "{value: no, other: no, list: [{value: 007}], none: {value: ~}, deep: {value: [1]}}"
    (document,) = of_yaml(text, texts={"value"})
    assert document.value == {
        "value": "no",
        "other": False,
        "list": [{"value": "007"}],
        "none": {"value": None},
        "deep": {"value": [1]},
    }


def test_a_folder_is_read_to_its_depth_in_order(tmp_path: Path) -> None:
    for name, text in {
        "b/two.yml": "name: two\nchecks: [{name: c, script_file: ../s/c.sh}]",
        "a/one.yaml": "name: one",
        "a.json": '{"name": "zero"}',
        "s/c.sh": "true",
        ".git/x.yaml": "not: [yaml",
        "._a.yaml": "\x05",
        "notes.txt": "[",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = applications(Folder(root=tmp_path))
    assert [each.name for each in found] == ["zero", "one", "two"]
    assert found[2].file == str(tmp_path / "b/two.yml")
    assert found[2].spec["checks"] == [{"name": "c", "script": "true"}]


def test_a_folder_is_not_left(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (tmp_path / "out.sh").write_text("secret")
    (inside / "a.yaml").write_text("name: a\nchecks: [{script_file: c.sh}]")
    (inside / "c.sh").symlink_to(tmp_path / "out.sh")
    with pytest.raises(RefusedError, match="is a link out of"):
        applications(Folder(root=inside))
    (inside / "c.sh").unlink()
    (inside / "c.sh").mkdir()
    with pytest.raises(RefusedError, match=r"'c\.sh' is no file"):
        applications(Folder(root=inside))
    (inside / "a.yaml").write_text("#" * 2_000_000)
    with pytest.raises(RefusedError, match="it is larger than 1048576 bytes"):
        applications(Folder(root=inside))
    (inside / "a.yaml").unlink()
    with pytest.raises(RefusedError, match=r"has no \*.yaml"):
        applications(Folder(root=inside))
