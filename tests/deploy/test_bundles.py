"""A folder of specs over HTTP: all of it or nothing, and sending it again is harmless."""

import httpx
import jsonschema_rs
import msgspec
import pytest
import yaml

from tests.deploy.conftest import Running, named
from tests.specs.archives import CHAT, tar_of, tgz, zipped
from tests.specs.test_bundles import HOSTILE

pytestmark = pytest.mark.slow
GZIP, ZIP = "application/gzip", "application/zip"


def spec(name: str, **more: object) -> bytes:
    return msgspec.json.encode({"name": name, "command": ["serve"], **more})


def send(
    deploy: Running, raw: bytes, kind: str = GZIP, command_id: str | None = None
) -> httpx.Response:
    headers = {"content-type": kind, **named(command_id)}
    return deploy.http.post("/v1/bundles", content=raw, headers=headers)


def exists(deploy: Running, *apps: str) -> list[bool]:
    return [deploy.http.get(f"/v1/apps/{app}").status_code == 200 for app in apps]


def test_all_applications_of_a_bundle_are_specified(deploy: Running) -> None:
    chat = CHAT.replace(b"chat}", b"all-1}")
    raw = zipped({"a/1.yaml": chat, "scripts/warm.sh": b"true", "2.json": spec("all-2")})
    answered = send(deploy, raw, ZIP)
    assert answered.status_code == 200, answered.text
    told = answered.json()
    assert [(each["app"], each["outcome"]) for each in told["apps"]] == [
        ("all-2", "created"),
        ("all-1", "created"),
    ]
    assert told["refused"] == []
    checks = deploy.http.get("/v1/apps/all-1").json()["spec"]["checks"]
    assert checks == [{"name": "warm", "script": "true"}]


def test_sent_again_it_changes_nothing_and_an_older_one_goes_back(deploy: Running) -> None:
    first, second = (tgz({"a.json": spec("again", args=[word])}) for word in "ab")

    def outcome(raw: bytes, command_id: str | None = None) -> str:
        (told,) = send(deploy, raw, command_id=command_id).json()["apps"]
        return f"{told['outcome']}{' repeated' if told['repeated'] else ''}"

    assert outcome(first) == "created"
    assert outcome(first) == "unchanged"
    assert outcome(second, "second") == "configured"
    assert outcome(first) == "configured"
    assert outcome(second, "second") == "configured repeated"
    assert deploy.http.get("/v1/apps/again").json()["spec"]["args"] == ["a"]
    other = send(deploy, tgz({"a.json": spec("again", args=["c"])}), command_id="second")
    assert other.status_code == 207
    assert [each["status"] for each in other.json()["refused"]] == [409]


@pytest.mark.parametrize(
    ("files", "status", "told"),
    [
        ({"b.json": spec("none-2", comand=1)}, 422, "app none-2: comand: unknown field; did you"),
        ({"b.json": spec("None")}, 422, "app None: name: 'None' is none"),
        ({"b.json": spec("none-1")}, 422, "application 'none-1' is there twice: a.json, line 1"),
        ({"b.yaml": b"name: ["}, 422, "b.yaml: "),
        ({"b.yaml": b"kind: Service"}, 422, "b.yaml: apiVersion: is missing"),
        (
            {"b.json": spec("none-2", resources={"cpu": 900})},
            409,
            "app none-2: no room for this up",
        ),
        ({"b.json": spec("none-2", routes={"prefix": "/none"})}, 409, "both ask for the route"),
        ({"b.yaml": b"name: none-2\ncommand: [a]\ncheks: []\n"}, 422, "(b.yaml, line 3)"),
    ],
)
def test_one_fault_and_nothing_is_applied(
    deploy: Running, files: dict[str, bytes], status: int, told: str
) -> None:
    good = spec("none-1", routes={"prefix": "/none"})
    answered = send(deploy, tgz({"a.json": good, **files}))
    assert (answered.status_code, exists(deploy, "none-1", "none-2")) == (status, [False, False])
    assert told in answered.json()["detail"]


def test_a_route_of_another_application_is_refused(deploy: Running) -> None:
    deploy.put("holder", routes={"prefix": "/held"})
    answered = send(deploy, tgz({"a.json": spec("taker", routes={"prefix": "/held"})}))
    assert answered.status_code == 409
    assert "belongs to application 'holder'" in answered.json()["detail"]


def test_no_attack_is_answered_with_anything_but_a_refusal(deploy: Running) -> None:
    for attack, (raw, _) in HOSTILE.items():
        kind = ZIP if raw.startswith(b"PK") else GZIP
        answered = send(deploy, raw, kind)
        assert answered.status_code in (413, 415, 422), attack
        assert answered.headers["content-type"] == "application/problem+json"
    assert deploy.http.get("/readyz").status_code == 200


def test_the_content_type_and_the_token_are_asked_for(deploy: Running) -> None:
    raw = tgz({"a.json": spec("typed")})
    assert send(deploy, raw, "application/json").status_code == 415
    assert send(deploy, raw, ZIP).status_code == 415
    assert send(deploy, b"", GZIP).status_code == 415
    either = send(deploy, b"PK", "application/octet-stream")
    assert (either.status_code, either.json()["detail"]) == (415, "the body is no tar.gz or zip")
    fine = send(deploy, tgz({"a.json": spec("octets")}), "application/octet-stream")
    assert fine.status_code == 200
    assert send(deploy, tar_of(), "application/gzip; x=y").status_code == 422
    without = deploy.http.post("/v1/bundles", content=raw, headers={"authorization": "Bearer no"})
    assert without.status_code == 401
    assert exists(deploy, "typed") == [False]


def test_the_published_schema_is_the_one_that_is_served(deploy: Running) -> None:
    answered = deploy.http.get("/v1/schema")
    assert answered.headers["content-type"] == "application/schema+json"
    checked = jsonschema_rs.Draft202012Validator(answered.json())
    assert checked.is_valid(yaml.safe_load(CHAT))
    assert not checked.is_valid({**yaml.safe_load(CHAT), "status": {}})
