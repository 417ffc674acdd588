"""Every distribution tells its types, every service in its README what it does."""

import re

import pytest

from .conftest import ROOT, Distribution, distributions

SERVICES = [each for each in distributions() if each.folder.parent.name == "services"]
SAYS = {"Reads", "Decides", "Writes", "Exposes", "Settings"}


def test_every_distribution_tells_its_types(distribution: Distribution) -> None:
    (package,) = (distribution.source / "midstage").iterdir()
    assert (package / "py.typed").exists()


@pytest.mark.parametrize("service", SERVICES, ids=lambda each: each.name)
def test_every_service_says_what_it_does(service: Distribution) -> None:
    text = (service.folder / "README.md").read_text()
    told = set(re.findall(r"(?m)^(?:## |\*\*)([A-Z]\w+)", text))
    assert told >= SAYS


def test_every_decision_stands_in_their_list_by_its_title() -> None:
    folder = ROOT / "docs" / "adr"
    titles = {
        page.name: re.sub(r"# *\d+[.:]? *", "", page.read_text().partition("\n")[0])
        for page in folder.glob("0*.md")
    }
    listed = re.findall(r"(?m)^- \[\d+\]\((.+?)\) (.+)$", (folder / "README.md").read_text())
    assert listed == sorted(titles.items())
