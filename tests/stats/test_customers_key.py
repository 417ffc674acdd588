"""A customer's key at every route that takes one: nothing fails, nothing of others is told.

schemathesis makes the questions from OpenAPI; half of them name what another customer has.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

from midstage.contracts.requests import REQUEST_COMPLETED
from midstage.stats.views.usage.question import Dimension
from tests import patient
from tests.serving import served

from .conftest import Bench, records
from .posting import MANY

pytestmark = pytest.mark.slow

ACME = {"authorization": "Bearer acmes-key"}
OWN_REQUESTS = 3
HIDDEN = "hidden"
"""In every word that only globex has; no question names one, so no answer may echo it."""
TAKE_KEYS = {
    ("GET", "/v1/usage"),
    ("POST", "/v1/usage"),
    ("GET", "/v1/requests"),
    ("POST", "/v1/events"),
}
Operation = tuple[str, str]
Case = schemathesis.Case[Any]
Event = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A stats that counted three requests of acme and many of globex, at its url."""

    bench: Bench
    url: str
    document: dict[str, object]

    def operations(self) -> list[Operation]:
        """Every method and path of its description."""
        paths = self.document["paths"]
        assert isinstance(paths, dict)
        return [(method.upper(), path) for path, item in paths.items() for method in item]


@pytest.fixture
def stats(bench: Bench) -> Iterator[Served]:
    edge = bench.edge()
    words: dict[str, Any] = {
        name: f"{HIDDEN}-{name}" for name in ("app", "endpoint", "revision", "pod")
    }
    bench.write(
        *(edge.line(n, labels={"team": "ocr"}) for n in range(1, OWN_REQUESTS + 1)),
        *(
            edge.line(
                *(n,),
                customer="globex",
                labels={"team": f"{HIDDEN}-team", f"{HIDDEN}-label": "x"},
                usage={f"{HIDDEN}_units": 7},
                **words,
            )
            for n in range(OWN_REQUESTS + 1, 60)
        ),
        edge.beat(59),
    )
    bench.caught_up()
    bench.stop()
    app = bench.start().app
    with served(app) as url:
        document = patient.get(f"{url}/openapi.json").json()
        yield Served(bench=bench, url=url, document=document)


PLACES = [dimension.value for dimension in Dimension]
PROBING = st.fixed_dictionaries(
    {},
    optional={
        "group_by": st.lists(
            st.sampled_from([*PLACES, "label.team"]), min_size=1, max_size=3, unique=True
        ),
        "measures": st.lists(
            st.sampled_from(["requests", "customers", "bytes_in", "latency_ms.p99", "units"]),
            min_size=1,
            max_size=3,
            unique=True,
        ),
        "window": st.sampled_from(["minute", "hour", "day", "none"]),
        "limit": st.integers(1, 5),
        "from": st.just("2026-01-01T00:00:00Z"),
        "to": st.just("2026-01-02T00:00:00Z"),
        "customer": st.sampled_from(["acme", "globex", "*", "", "acme,globex"]),
    },
)
"""Questions of usage that are nearly right, so that many are answered."""


def event(at: int, customer: str, source: str) -> Event:
    data = {"app": "a", "customer": customer, "status": 200, "outcome": "ok", "duration_ms": 1}
    return {
        "specversion": "1.0",
        "id": str(at),
        "source": source,
        "type": REQUEST_COMPLETED,
        "time": "2026-01-01T12:00:00Z",
        "data": data,
    }


POSTING = st.lists(
    st.builds(
        event,
        st.integers(1, 9),
        st.sampled_from(["acme", "acme", "globex"]),  # so that some posts are taken whole
        st.sampled_from(
            [*["customers/acme", "customers/acme/a"] * 2, "customers/globex", "jobs/1"]
        ),
    ),
    min_size=1,
    max_size=3,
)


def probed(case: Case, probe: Mapping[str, Any], posts: list[Event]) -> None:
    """Put what is nearly right into what schemathesis made."""
    case.headers.clear()  # else none of the negative ones has the key
    case.query = {}
    if case.path == "/v1/events":
        case.body, case.media_type = [*posts], MANY
    elif case.path == "/v1/requests":
        case.query = {"limit": probe.get("limit", 1000)}
    elif case.method == "GET":
        case.query = {
            name: ",".join(value) if isinstance(value, list) else value
            for name, value in probe.items()
        }
    else:
        case.body = {name: value for name, value in probe.items() if name != "customer"}
        if "customer" in probe:
            case.body["where"] = {"customer": [probe["customer"]]}


def told_too_much(case: Case, text: str, status: int) -> str | None:
    """What of others the answer tells."""
    if HIDDEN in text:
        return "a word that only another customer has"
    if status != 200 or case.path == "/v1/events":
        return None
    return "another customer's name" if "globex" in text else counted_too_much(text)


def counted_too_much(text: str) -> str | None:
    if not text.startswith("{"):
        return None
    said = json.loads(text)
    if "requests" in said:
        return "requests of others" if len(said["requests"]) > OWN_REQUESTS else None
    rows = said["usage"]
    if sum(row.get("requests", 0) for row in rows) > OWN_REQUESTS:
        return "requests of others"
    return "customers" if any(row.get("customers", 0) > 1 for row in rows) else None


@pytest.mark.parametrize("operation", sorted(TAKE_KEYS), ids=" ".join)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_a_customer_asks_anything_and_is_told_nothing_of_others(
    stats: Served, operation: Operation, mode: GenerationMode
) -> None:
    method, path = operation
    schema = schemathesis.openapi.from_dict(stats.document)
    cases = schema[path][method].as_strategy(generation_mode=mode)
    accepted = ["application/json", "text/csv", "*/*"]
    answers: list[int] = []

    @settings(
        deadline=None, max_examples=40, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(cases, st.booleans(), PROBING, POSTING, st.sampled_from(accepted))
    def run(
        case: Case,
        near: bool,
        probe: Mapping[str, Any],
        posts: list[Event],
        accept: str,
    ) -> None:
        if near:
            probed(case, probe, posts)
        answer = case.call(
            base_url=stats.url, headers={**ACME, "accept": accept}, timeout=patient.ANSWER_WITHIN_S
        )
        answers.append(answer.status_code)
        assert answer.status_code < 500, answer.text
        assert told_too_much(case, answer.text, answer.status_code) is None, answer.text

    run()
    taken = frozenset({200, 204})
    assert taken.intersection(answers), answers  # else nothing was shown
    assert all(each["data"]["customer"] == "acme" for each in posted(stats))
    assert all(str(each["source"]).startswith("customers/acme") for each in posted(stats))


def posted(stats: Served) -> list[Event]:
    """What came into the log by a post; the edge's own lines apart."""
    found = [
        msgspec.json.decode(record.value or b"", type=Event)
        for record in records(stats.bench.log, stats.bench.topics.requests.name)
    ]
    return [each for each in found if not each["source"].startswith("edges/")]


def test_a_customer_is_not_told_whether_the_ledger_has_an_event_of_others(stats: Served) -> None:
    """Of events that it may not post it hears no more than that."""
    posts = [
        event(1, "globex", "jobs/1"),
        event(2, "acme", "customers/globex/a"),
        event(3, "acme", "customers/acme/a"),
    ]
    answer = patient.post(
        f"{stats.url}/v1/events?detail=true",
        content=json.dumps(posts),
        headers={**ACME, "content-type": MANY},
    )
    assert [one["state"] for one in answer.json()["events"]] == ["refused", "refused", "accepted"]


def test_no_other_route_takes_a_customers_key(stats: Served) -> None:
    """Nor do the routes that shards ask each other by, which no description names."""
    described = stats.operations()
    assert set(described) > TAKE_KEYS
    inner = ("sources", "rows", "tallies", "loads", "standing", "held", "completeness", "gaps")
    between = [("POST", f"/v1/shard/{each}") for each in inner]
    for method, path in [*described, *between]:
        if (method, path) in TAKE_KEYS:
            continue
        answer = patient.request(method, stats.url + path, headers=ACME, json={})
        assert answer.status_code == 401, (method, path)
        assert answer.headers["content-type"] == "application/problem+json"
        if method == "GET":
            known = patient.get(stats.url + path, headers={"authorization": "Bearer secret"})
            assert known.status_code != 401, path
    for method, path in TAKE_KEYS:
        assert patient.request(method, stats.url + path).status_code == 401, (method, path)
    part = patient.post(f"{stats.url}/v1/usage/part", headers=ACME, json={})
    assert part.status_code in (401, 403)


def test_each_route_says_that_it_wants_a_key(stats: Served) -> None:
    paths = stats.document["paths"]
    assert isinstance(paths, dict)
    for method, path in stats.operations():
        said = paths[path][method.lower()]
        assert said["security"] == [{"token": []}], (method, path)
        assert "application/problem+json" in said["responses"]["401"]["content"], (method, path)
