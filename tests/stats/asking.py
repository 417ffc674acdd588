"""How tests ask what was used: a ledger itself, or the composed application over HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import httpx
from fastapi.testclient import TestClient

from midstage.contracts.requests import Outcome
from midstage.eventlog.log import Message
from midstage.stats.adapters.queries import Queries
from midstage.stats.main import Service
from midstage.stats.views.usage.asking import from_parameters
from midstage.stats.views.usage.parts import Group

from .conftest import NOON, Bench

TOKEN = "secret"
MINUTE = timedelta(minutes=1)
Row = dict[str, object]


def groups(books: Queries, *given: tuple[str, str]) -> tuple[Group, ...]:
    """The groups of a question, as its parameters put it."""
    question = from_parameters(given, now=NOON).question
    return books.usage.part(question, versions=None, now=NOON).groups


def total(books: Queries) -> Group:
    """The sums of everything."""
    return next(iter(groups(books)), Group(key=()))


@dataclass
class Asked:
    """A stats that has read its log, and one who asks with this token or key."""

    service: Service
    client: TestClient
    token: str = TOKEN

    def __call__(self, query: str = "", *, accept: str = "application/json") -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}", "accept": accept}
        answer: httpx.Response = self.client.get(f"/v1/usage{query}", headers=headers)
        return answer

    def rows(self, query: str = "") -> list[Row]:
        answer = self(query)
        assert answer.status_code == 200, answer.text
        found: list[Row] = answer.json()["usage"]
        return found

    def post(self, body: Mapping[str, object]) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"}
        answer: httpx.Response = self.client.post("/v1/usage", json=dict(body), headers=headers)
        return answer

    def by(self, token: str) -> "Asked":
        return Asked(self.service, self.client, token)


def asking(bench: Bench, *lines: Message) -> Asked:
    """Somebody with the token, of a stats that has read these."""
    bench.write(*lines)
    service = bench.caught_up()
    return Asked(service, TestClient(service.app))


def few_calls(bench: Bench) -> Asked:
    """Of three customers, one of them unknown; line 5 is missing."""
    edge = bench.edge()
    return asking(
        bench,
        edge.line(1, labels={"team": "a"}, duration_ms=100.0, bytes_in=7),
        edge.line(2, customer="globex", time=NOON + MINUTE, labels={"team": "b"}),
        edge.line(3, app="ocr", usage={"images": 0.5, "cached": 0}, time=NOON + MINUTE),
        edge.line(4, outcome=Outcome.REFUSED, status=429, usage={}, estimated=True),
        edge.line(6, customer="unknown", outcome=Outcome.INVALID, status=400),
        edge.beat(7, at=NOON),
    )
