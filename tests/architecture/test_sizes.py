"""A module is one idea: 40 to 200 lines are usual, above 400 it is refused (style 20)."""

from pathlib import Path

from .conftest import Distribution

MOST_LINES = 400
BANNED = {"utils", "helpers", "common", "base", "manager"}


def test_no_module_outgrows_its_idea(distribution: Distribution) -> None:
    too_long = {
        str(file.relative_to(distribution.folder)): lines
        for file in distribution.modules
        if (lines := len(file.read_text().splitlines())) > MOST_LINES
    }
    assert not too_long


def test_no_module_has_a_name_without_a_promise(distribution: Distribution) -> None:
    parts = {
        part
        for file in distribution.modules
        for part in file.relative_to(distribution.source).with_suffix("").parts
    }
    assert not parts & BANNED


def test_no_test_module_outgrows_its_story(root: Path) -> None:
    too_long = {
        str(file.relative_to(root)): lines
        for file in root.glob("tests/**/*.py")
        if (lines := len(file.read_text().splitlines())) > MOST_LINES
    }
    assert not too_long
