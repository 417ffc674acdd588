"""The published schema of an application: fresh, valid, and as strict as deploy is."""

from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
import yaml

from midstage.contracts import application
from midstage.contracts.apps import AppSpec

from .examples_apps import FULL, SURROUNDED

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = application.schema()
CHECKED = jsonschema_rs.Draft202012Validator(SCHEMA)


def document(spec: object) -> dict[str, object]:
    return {
        "apiVersion": "midstage.dev/v1",
        "kind": "Application",
        "metadata": {"name": "chat"},
        "spec": spec,
    }


def test_the_file_is_fresh() -> None:
    text = (DOCS / "application.schema.json").read_text(encoding="utf-8")
    assert text == application.text(), "run: make docs"


def test_it_is_a_schema() -> None:
    assert jsonschema_rs.meta.is_valid(SCHEMA)


@pytest.mark.parametrize("spec", [FULL, SURROUNDED, AppSpec(image="a:1")])
def test_what_a_spec_can_say_fits(spec: AppSpec) -> None:
    CHECKED.validate(document(msgspec.json.decode(msgspec.json.encode(spec))))


@pytest.mark.parametrize("file", sorted((DOCS / "examples").glob("*.yaml")), ids=lambda f: f.name)
def test_our_examples_fit(file: Path) -> None:
    for each in yaml.safe_load_all(file.read_text()):
        CHECKED.validate(each)


def test_a_check_has_its_script_or_the_file_of_it() -> None:
    for check, fits in (
        ({"name": "a", "script": "true"}, True),
        ({"name": "a", "script_file": "a.sh"}, True),
        ({"name": "a", "script": "true", "script_file": "a.sh"}, False),
        ({"name": "a"}, False),
    ):
        assert CHECKED.is_valid(document({"checks": [check]})) is fits


@pytest.mark.parametrize(
    "spec",
    [
        {"comand": ["x"]},
        {"scaling": {"max": 2, "targets": {"cpus": 1}}},
        {"env_from": {"A": {"secret": "s", "key": "k", "keys": "x"}}},
        {"env_from": {"1A": {"secret": "s", "key": "k"}}},
        {"replicas": 0},
        {"replicas": "2"},
        {"needs": ["spott"]},
        {"volumes": [{"path": "relative"}]},
        5,
    ],
)
def test_what_deploy_would_refuse_does_not_fit(spec: object) -> None:
    assert not CHECKED.is_valid(document(spec))


def test_a_document_says_all_of_its_four_parts_and_nothing_else() -> None:
    whole = document({"image": "a"})
    for field in whole:
        assert not CHECKED.is_valid({key: value for key, value in whole.items() if key != field})
    assert not CHECKED.is_valid({**whole, "status": {}})
    assert not CHECKED.is_valid({**whole, "metadata": {"name": "Not_A_Name"}})
    assert not CHECKED.is_valid({**whole, "metadata": {"name": "a", "labels": {}}})
    assert not CHECKED.is_valid({**whole, "kind": "Deployment"})


def test_every_field_is_described() -> None:
    defs = SCHEMA["$defs"]
    assert isinstance(defs, dict)
    for name, part in defs.items():
        assert isinstance(part, dict)
        properties = part.get("properties", {})
        assert isinstance(properties, dict)
        for field, schema in properties.items():
            assert isinstance(schema, dict)
            assert schema.get("description"), f"{name}.{field}"
