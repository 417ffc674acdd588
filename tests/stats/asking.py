"""How tests ask the ledger what was used."""

from midstage.stats.adapters.queries import Queries
from midstage.stats.views.usage.asking import from_parameters
from midstage.stats.views.usage.parts import Group

from .conftest import NOON


def groups(books: Queries, *given: tuple[str, str]) -> tuple[Group, ...]:
    """The groups of a question, as its parameters put it."""
    question = from_parameters(given, now=NOON).question
    return books.usage.part(question, versions=None, now=NOON).groups


def total(books: Queries) -> Group:
    """The sums of everything."""
    return next(iter(groups(books)), Group(key=()))
