"""What a route does not declare is refused, at every service alike."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, Query, Request
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from midstage.chassis import http
from midstage.chassis.readiness import Readiness

FREE = {
    "parameters": [
        {"name": "to", "in": "query", "schema": {"type": "string"}},
        {"name": "by", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
        {
            "name": "label.<name>",
            "in": "query",
            "schema": {"type": "object", "patternProperties": {r"^label\..": {"type": "array"}}},
        },
        {"name": "x-trace", "in": "header", "schema": {"type": "string"}},
    ]
}
Said = dict[str, object]


def filters(
    app: str = "", cluster: Annotated[str | None, Query(alias="in")] = None
) -> tuple[str, str | None]:
    return app, cluster


@pytest.fixture(scope="module")
def client() -> TestClient:
    inner, outer = APIRouter(prefix="/things"), APIRouter(prefix="/v1")

    @inner.get("")
    def things(
        found: Annotated[tuple[str, str | None], Depends(filters)],
        limit: int = 10,
        tag: Annotated[list[str] | None, Query()] = None,
        mark: Annotated[tuple[int, ...], Query()] = (),
    ) -> Said:
        return {"app": found[0], "in": found[1], "limit": limit, "tag": tag, "mark": mark}

    @inner.get("/free", openapi_extra=FREE)
    def free(request: Request) -> list[tuple[str, str]]:
        return request.query_params.multi_items()

    @inner.post("")
    def make() -> Said:
        return {}

    @inner.get("/hidden", include_in_schema=False)
    def hidden(request: Request) -> list[tuple[str, str]]:
        return request.query_params.multi_items()

    outer.include_router(inner)
    app = http.build(
        service="tale",
        version="1",
        readiness=Readiness(),
        registry=CollectorRegistry(),
        token="t",
        routers=[outer],
    )
    return TestClient(app, headers={"authorization": "Bearer t"})


def refusal(client: TestClient, path: str, *, method: str = "GET") -> str:
    answer = client.request(method, path)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    said: str = answer.json()["detail"]
    return said


def test_what_a_route_declares_it_is_given(client: TestClient) -> None:
    query = "?app=a&in=b&limit=5&tag=x&tag=y&mark=1&mark=2"
    assert client.get(f"/v1/things{query}").json() == {
        **{"app": "a", "in": "b", "limit": 5, "tag": ["x", "y"], "mark": [1, 2]}
    }
    asked = "to=1&by=a&by=b&label.team=a&label.team=b&label.x=="
    answer = client.get(f"/v1/things/free?{asked}")
    assert answer.json() == [one.split("=", 1) for one in asked.split("&")]


@pytest.mark.parametrize("name", ["ap", "App", "app ", "cluster", "label.team", "filters", "x"])
def test_what_it_does_not_declare_is_refused_with_what_there_is(
    client: TestClient, name: str
) -> None:
    said = refusal(client, f"/v1/things?limit=1&{name}=a")
    assert said == f"{name}: no such parameter; there are app, in, limit, mark, tag"


def test_names_of_a_pattern_and_of_the_document_are_declared(client: TestClient) -> None:
    there_are = "no such parameter; there are by, to, label.<name>"
    for name in ("label.", "label", "xlabel.team", "x-trace", "tod"):
        assert refusal(client, f"/v1/things/free?{name}") == f"{name}: {there_are}"
    assert refusal(client, "/v1/things?=a").startswith(": no such parameter")
    long = refusal(client, f"/v1/things/free?{'a' * 10_000}=1")
    assert long == f"{'a' * 100}: {there_are}"


def test_a_route_without_parameters_takes_none(client: TestClient) -> None:
    said = refusal(client, "/v1/things?dry_run=true", method="POST")
    assert said == "dry_run: no such parameter; there are none here"
    assert client.post("/v1/things?").status_code == 200


def test_what_comes_once_is_refused_twice(client: TestClient) -> None:
    for path, name in (("", "limit"), ("", "in"), ("/free", "to")):
        said = refusal(client, f"/v1/things{path}?{name}=1&{name}=1")
        assert said == f"{name}: given 2 times; give it once"


def test_what_no_document_shows_takes_anything(client: TestClient) -> None:
    """Who scrapes or probes says more than we ask for."""
    assert client.get("/v1/things/hidden?a=1&a=2").json() == [["a", "1"], ["a", "2"]]
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert client.get(f"{path}?verbose=1&verbose=1").status_code == 200


def test_who_may_not_ask_is_told_nothing_else(client: TestClient) -> None:
    answer = client.post("/v1/things?dry_run=true", headers={"authorization": "Bearer x"})
    assert answer.status_code == 401


def test_the_document_is_as_it_was(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert [one["name"] for one in paths["/v1/things/free"]["get"]["parameters"]] == [
        *("to", "by", "label.<name>", "x-trace"),
    ]
    names = {one["name"] for one in paths["/v1/things"]["get"]["parameters"]}
    assert names == {"app", "in", "limit", "tag", "mark"}
