"""What people get from the API: specs taken or refused with the path, and what became of them."""

import pytest

from midstage.contracts.apps import AppSpec
from midstage.deploy.api.specs import schema
from midstage.testkit.waiting import within
from tests.deploy.conftest import Running, named

pytestmark = pytest.mark.slow

POLICY = {"min": 1, "max": 4, "targets": {"concurrency": 2}}


def test_an_application_is_created_rolled_out_and_told_of(deploy: Running) -> None:
    answered = deploy.put("first", None, "trial", replicas=2).json()
    assert answered["outcome"] == "created"
    assert answered["rollout"] == "first"
    deploy.ready("first", 2)
    told = deploy.http.get("/v1/apps/first").json()
    assert (told["app"], told["version"], told["by"], told["why"]) == ("first", 1, "api", "trial")
    assert told["revision"] == answered["revision"]
    assert told["spec"] == {
        "command": ["serve"],
        "replicas": 2,
        "routes": {"prefix": "/first"},
    }
    status = told["status"]
    assert (status["wanted"], status["ready"], status["old"]) == (2, 2, 0)
    assert status["reason"] == "complete"
    assert status["rollout"]["state"] == "complete"
    assert "first" in [each["app"] for each in deploy.http.get("/v1/apps").json()["apps"]]


def test_the_same_spec_again_appends_nothing(deploy: Running) -> None:
    first = deploy.put("same").json()
    deploy.ready("same")
    versions = {deploy.put("same").json()["version"] for _ in range(3)}
    again = deploy.put("same").json()
    assert again["outcome"] == "unchanged"
    assert again["rollout"] == "none"
    assert again["revision"] == first["revision"]
    assert len(versions) == 1
    assert len(deploy.http.get("/v1/apps/same/history").json()["revisions"]) == 1


def test_a_command_sent_again_has_the_first_outcome(deploy: Running) -> None:
    first = deploy.put("once", "put-once").json()
    again = deploy.put("once", "put-once").json()
    assert again == {**first, "rollout": "unknown", "repeated": True}
    assert deploy.http.get("/v1/commands/put-once").json() == again
    other = deploy.put("once", "put-once", replicas=2)
    assert other.status_code == 409
    assert deploy.http.get("/v1/commands/nobody-knows").status_code == 404


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"comand": ["x"]}, "comand: unknown field; did you mean command?"),
        ({"scaling": {**POLICY, "mx": 1}}, "scaling.mx: unknown field; did you mean max?"),
        (
            {"scaling": {**POLICY, "targets": {"cpus": 1}}},
            "scaling.targets.cpus: unknown field; did you mean cpu?",
        ),
        (
            {"tolerations": [{"key": "a"}, {"key": "a", "val": "b"}]},
            "tolerations[1].val: unknown field",
        ),
        ({"replicas": "2"}, "replicas: Expected `int`, got `str`"),
        ({"replicas": 0}, "replicas: Expected `int` >= 1"),
        ({"resources": {"cpu": -1}}, "resources.cpu: Expected `float` > 0"),
        ({"scaling": {"targets": {"cpu": 0.5}}}, "scaling.max: is missing"),
        ({"env": {"A": 1}}, "env.A: Expected `str`, got `int`"),
        ({"scaling": {**POLICY, "min": 5}}, "scaling.min: 5 is more than scaling.max 4"),
        ({"scaling": POLICY, "replicas": 9}, "replicas: 9 is not within scaling 1 to 4"),
        ({"scaling": {**POLICY, "targets": {}}}, "scaling.targets: no target is given"),
        (
            {"scaling": {**POLICY, "up": {"pods": 0, "percent": 0}}},
            "scaling.up: neither pods nor percent lets it ever grow",
        ),
        ({"image": "x"}, "command: give exactly one of image and command, not both"),
        ({"command": None}, "command: give exactly one of image and command, neither is there"),
        (
            {"rollout": {"min_available": 3}, "replicas": 2},
            "rollout.min_available: 3 is more than the 2 replicas there can be",
        ),
        (
            {"rollout": {"surge": 0, "min_available": 2}, "replicas": 2},
            "rollout.surge: 0 with 2 of 2 replicas to stay ready",
        ),
        ({"routes": {"prefix": "no"}}, "routes.prefix: Expected `str` matching regex"),
        ({"routes": {"hosts": ["a.b", "a.b"]}}, "routes.hosts[1]: 'a.b' is there twice"),
        (
            {"pool": "a", "node_selector": {"midstage.dev/pool": "b"}},
            "node_selector.midstage.dev/pool: 'b' contradicts pool 'a'",
        ),
    ],
)
def test_a_bad_spec_is_refused_with_the_path(
    deploy: Running, changed: dict[str, object], told: str
) -> None:
    answered = deploy.put("bad", **changed)
    assert answered.status_code == 422
    assert answered.headers["content-type"] == "application/problem+json"
    assert told in answered.json()["detail"]
    assert deploy.http.get("/v1/apps/bad").status_code == 404


def test_what_is_no_spec_is_refused(deploy: Running) -> None:
    def put(body: bytes) -> tuple[int, str]:
        answered = deploy.http.put("/v1/apps/odd", content=body)
        return answered.status_code, answered.json()["detail"]

    assert put(b"not json")[0] == 400
    assert put(b"\xff\xfe")[0] == 400
    assert put(b"[" * 5000)[0] == 400
    assert put(b"[]")[0] == 422
    assert put(b'{"command": ["' + b"x" * 300_000 + b'"]}')[0] == 413
    assert deploy.http.put("/v1/apps/Not_A_Name", json={}).status_code == 422
    without = deploy.http.put("/v1/apps/odd", json={}, headers={"authorization": "Bearer no"})
    assert without.status_code == 401


def test_all_that_is_wrong_is_told_at_once(deploy: Running) -> None:
    answered = deploy.put("bad", scaling={**POLICY, "min": 9, "targets": {}}, image="x")
    assert answered.json()["detail"].count("; ") >= 2


def test_who_scales_and_says_no_count_begins_with_the_least(deploy: Running) -> None:
    deploy.put("least", scaling={**POLICY, "min": 2})
    assert deploy.http.get("/v1/apps/least").json()["spec"]["replicas"] == 2


def test_a_route_that_another_one_has_is_refused_with_its_name(deploy: Running) -> None:
    deploy.put("owner", routes={"prefix": "/mine", "hosts": ["a.example"]})
    taken = deploy.put("thief", routes={"prefix": "/mine"})
    assert taken.status_code == 409
    assert taken.json()["detail"] == "routes.prefix: '/mine' belongs to application 'owner'"
    host = deploy.put("thief", routes={"hosts": ["b.example", "a.example"]})
    assert host.json()["detail"] == "routes.hosts[1]: 'a.example' belongs to application 'owner'"
    deploy.http.delete("/v1/apps/owner")
    assert deploy.put("thief", routes={"prefix": "/mine"}).status_code == 200


def test_an_update_without_room_is_refused_with_the_schedulers_words(deploy: Running) -> None:
    deploy.put("wide", resources={"cpu": 0.5})
    deploy.ready("wide")
    answered = deploy.put("wide", resources={"cpu": 30})
    assert answered.status_code == 409
    assert "0/1 nodes are available: 1 Insufficient cpu." in answered.json()["detail"]
    impossible = deploy.put("never", resources={"gpus": 1})
    assert impossible.status_code == 409
    assert "1 Insufficient nvidia.com/gpu" in impossible.json()["detail"]


def test_undo_goes_back_to_the_last_other_revision(deploy: Running) -> None:
    first = deploy.put("back", command=["one"]).json()
    assert deploy.http.post("/v1/apps/back/undo").status_code == 409
    deploy.put("back", command=["two"])
    deploy.put("back", command=["two"], routes={"prefix": "/elsewhere"})
    answered = deploy.http.post("/v1/apps/back/undo", params={"why": "worse"}).json()
    assert (answered["outcome"], answered["revision"]) == ("undone", first["revision"])
    told = deploy.http.get("/v1/apps/back/history").json()["revisions"]
    assert [each["spec"]["command"] for each in told] == [["one"], ["two"], ["two"], ["one"]]
    assert [each["current"] for each in told] == [True, False, False, False]
    assert (told[0]["undoes"], told[0]["why"]) == (told[1]["revision"], "worse")
    assert deploy.http.post("/v1/apps/nobody/undo").status_code == 404
    deploy.ready("back")


def test_what_can_not_be_taken_over_is_refused(deploy: Running) -> None:
    def asked(app: str, **query: str) -> tuple[int, str]:
        answer = deploy.http.post(f"/v1/apps/{app}/adopt", params=query)
        return answer.status_code, str(answer.json()["detail"])

    assert asked("new", workload="web") == (404, "there is no workload web")
    deploy.put("has")
    deploy.ready("has")
    [name] = {pod.workload for pod in deploy.cluster.pods() if pod.app == "has"}
    status, detail = asked("new", workload=name)
    assert (status, detail) == (409, f"workload {name} is application has's already")
    deploy.http.delete("/v1/apps/has")
    status, detail = asked("has", workload="web")
    assert status == 409
    assert "application has was removed" in detail
    assert asked("new", workload="We b")[0] == 422
    assert asked("new")[0] == 422


def test_diff_says_what_and_how(deploy: Running) -> None:
    body = {"command": ["one"], "routes": {"prefix": "/diff"}, "replicas": 1}
    fresh = deploy.http.post("/v1/apps/diff/diff", json=body).json()
    assert (fresh["exists"], fresh["new_revision"], fresh["rollout"]) == (False, True, "first")
    deploy.http.put("/v1/apps/diff", json=body)
    deploy.ready("diff")
    same = deploy.http.post("/v1/apps/diff/diff", json=body).json()
    assert (same["changes"], same["new_revision"], same["rollout"]) == ([], False, "none")
    assert (same["cluster"]["changes"], same["cluster"]["unknown"]) == ([], "")
    other = {**body, "command": ["two"], "resources": {"cpu": 1}}
    changed = deploy.http.post("/v1/apps/diff/diff", json=other).json()
    assert changed["changes"] == [
        {"path": "command", "from": ["one"], "to": ["two"]},
        {"path": "resources.cpu", "from": None, "to": 1.0},
    ]
    assert (changed["new_revision"], changed["rollout"]) == (True, "surge")
    assert changed["cluster"]["creates"]
    assert changed["cluster"]["changes"] == [
        {"path": "template.command", "from": ["one"], "to": ["two"]},
        {"path": "template.requests.cpu", "from": 0.1, "to": 1.0},
    ]
    large = deploy.http.post("/v1/apps/diff/diff", json={**other, "resources": {"cpu": 40}}).json()
    assert large["rollout"] == "refused"
    assert large["reason"].startswith("0/1 nodes are available")
    routes = {**body, "routes": {"prefix": "/diff2"}}
    moved = deploy.http.post("/v1/apps/diff/diff", json=routes).json()
    assert (moved["new_revision"], len(moved["changes"])) == (False, 1)


def test_what_is_removed_goes_and_may_come_again(deploy: Running) -> None:
    deploy.put("gone")
    deploy.ready("gone")
    answered = deploy.http.delete("/v1/apps/gone", headers=named("remove-gone")).json()
    assert answered["outcome"] == "removed"
    assert deploy.http.get("/v1/apps/gone").status_code == 404
    assert deploy.http.delete("/v1/apps/gone").status_code == 404
    within(60, lambda: not [p for p in deploy.cluster.pods() if p.app == "gone"])
    assert deploy.put("gone").json()["outcome"] == "created"
    deploy.ready("gone")


def test_the_schema_of_a_spec_stands_in_one_piece() -> None:
    described = str(schema(AppSpec))
    assert "$ref" not in described
    assert "requests_per_s" in described
