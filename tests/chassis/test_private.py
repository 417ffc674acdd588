"""Paths of which nothing can be read without the token; what says how a process is stays open."""

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from midstage.chassis import http
from midstage.chassis.readiness import Readiness

TOKEN = "t0ken-of-the-test"
HOLDS = {"authorization": f"Bearer {TOKEN}"}
ANOTHER = {"authorization": "Bearer another"}


@pytest.fixture
def client() -> TestClient:
    router = APIRouter()

    @router.get("/v1/bills")
    @router.get("/v1/bills/{name}")
    @router.get("/v1/billsboard")
    @router.get("/v1/mine")
    @router.post("/v1/mine")
    def said(name: str = "") -> str:
        return name

    app = http.build(
        service="tale",
        version="1.2.3",
        readiness=Readiness(),
        registry=CollectorRegistry(),
        token=TOKEN,
        routers=[router],
        own_keys=["/v1/mine"],
        private=["/v1/bills", "/v1/mine"],
    )
    return TestClient(app)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
@pytest.mark.parametrize(
    "path", ["/v1/bills", "/v1/bills/", "/v1/bills/a", "/v1/b%69lls/a", "/v1/bills/../bills/a/b"]
)
def test_nothing_private_is_read_without_the_token(
    client: TestClient, method: str, path: str
) -> None:
    for headers in ({}, ANOTHER):
        refused = client.request(method, path, headers=headers)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == 'Bearer realm="midstage"'
    assert client.request(method, path, headers=HOLDS).status_code != 401


def test_what_is_beside_it_and_what_says_how_it_is_stay_open(client: TestClient) -> None:
    for path in ("/v1/billsboard", "/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert client.get(path).status_code == 200, path
    assert client.get("/v1/mine", headers=ANOTHER).status_code == 200  # its own keys see to it


def test_the_description_says_where_the_token_is_wanted(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/v1/bills", "/v1/bills/{name}", "/v1/mine"):
        assert paths[path]["get"]["security"] == [{"token": []}], path
        assert "application/problem+json" in paths[path]["get"]["responses"]["401"]["content"]
    assert "401" in paths["/v1/mine"]["post"]["responses"]
    assert "security" not in paths["/v1/billsboard"]["get"]
    assert "401" not in paths["/v1/billsboard"]["get"]["responses"]
