"""Pods told in protobuf: the same as in JSON, whatever is in them, and whatever is wrong."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.cluster.kubernetes import shapes
from midstage.cluster.kubernetes.errors import BusyError, error_of, error_said
from midstage.cluster.kubernetes.events import Seen, framed
from midstage.cluster.kubernetes.frames import frames
from midstage.cluster.kubernetes.kinds import kinds_of
from midstage.cluster.kubernetes.pods import pod_of
from midstage.cluster.kubernetes.shaping import pod_shape
from midstage.cluster.protocol import ExpiredError
from midstage.contracts.errors import RefusedError, UnavailableError

from .apiserver import VERSION, ApiServer, Asked, Json, Said, api_server
from .protobuf import FRAMES, event, pod_in_protobuf, status

PODS = kinds_of("default")[-1]
Fields = dict[str, st.SearchStrategy[object]]
WORDS = st.text(max_size=8)
AMOUNTS = st.dictionaries(
    st.sampled_from(["cpu", "memory", "nvidia.com/gpu", "ephemeral-storage"]),
    st.sampled_from(["0", "100m", "1500n", "2", "1.5Gi", "12e6", "1Ei", "-1", "three", ""]),
    max_size=3,
)
TIMES = st.none() | st.datetimes().map(lambda at: f"{at.replace(microsecond=0).isoformat()}Z")


def some(**fields: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Some of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


def both(needed: Fields, optional: Fields) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries(needed, optional=optional)


def lists(of: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.lists(of, max_size=2)


CONTAINERS = some(
    name=st.sampled_from(["app", "other"]),
    ports=lists(some(name=st.sampled_from(["http", "grpc"]), containerPort=st.integers(1, 65535))),
    resources=some(requests=AMOUNTS, limits=AMOUNTS),
    restartPolicy=st.just("Always"),
)
STATES = st.one_of(
    some(running=some(startedAt=TIMES)),
    some(waiting=some(reason=st.sampled_from(["", "CrashLoopBackOff", "X"]), message=WORDS)),
    some(
        terminated=some(
            exitCode=st.integers(-1, 255),
            reason=st.sampled_from(["", "Error", "OOMKilled"]),
            message=WORDS,
            startedAt=TIMES,
            finishedAt=TIMES,
        )
    ),
)
STATUSES = some(
    name=st.sampled_from(["app", "other"]),
    ready=st.booleans(),
    started=st.booleans(),
    restartCount=st.integers(0, 9),
    state=STATES,
    lastState=STATES,
)
CONDITIONS = both(
    {
        "type": st.sampled_from(["Ready", "PodScheduled", "Initialized"]),
        "status": st.sampled_from(["True", "False", "Unknown"]),
        "lastTransitionTime": TIMES,
    },
    {"reason": WORDS, "message": WORDS},
)
LABELS = st.dictionaries(
    st.sampled_from(["midstage.dev/app", "midstage.dev/workload", "midstage.dev/revision"]), WORDS
)
ANNOTATIONS = st.dictionaries(
    st.sampled_from(["midstage.dev/address", "midstage.dev/draining"]), st.just("true") | WORDS
)
TOLERATIONS = some(
    key=WORDS,
    operator=st.sampled_from(["Equal", "Exists"]),
    value=WORDS,
    effect=st.sampled_from(["NoExecute", "NoSchedule"]),
)
TOLD = st.fixed_dictionaries(
    {
        "metadata": both(
            {
                "name": WORDS,
                "namespace": st.sampled_from(["default", "kube-system"]),
                "uid": WORDS,
                "resourceVersion": st.integers(0, 2**63).map(str),
                "creationTimestamp": TIMES,
            },
            {"deletionTimestamp": TIMES, "labels": LABELS, "annotations": ANNOTATIONS},
        ),
        "spec": some(
            nodeName=st.sampled_from(["", "n"]),
            containers=lists(CONTAINERS),
            initContainers=lists(CONTAINERS),
            overhead=AMOUNTS,
            nodeSelector=st.dictionaries(WORDS, WORDS, max_size=2),
            tolerations=lists(TOLERATIONS),
            priority=st.integers(-(2**31), 2**31 - 1),
            priorityClassName=WORDS,
            preemptionPolicy=st.sampled_from(["Never", "PreemptLowerPriority"]),
        ),
        "status": some(
            phase=st.sampled_from(["Pending", "Running", "Failed"]),
            reason=st.sampled_from(["", "NodeLost", "Evicted"]),
            message=WORDS,
            podIP=st.sampled_from(["", "10.0.0.1", "fd00::1"]),
            conditions=lists(CONDITIONS),
            containerStatuses=lists(STATUSES),
            initContainerStatuses=lists(STATUSES),
        ),
    }
)


@pytest.mark.slow
@given(TOLD)
def test_a_pod_is_told_the_same_in_both_forms(told: dict[str, object]) -> None:
    in_json = msgspec.json.decode(msgspec.json.encode(told), type=shapes.Pod)
    assert pod_of(pod_shape(pod_in_protobuf(told)), "default") == pod_of(in_json, "default")


def a_pod(name: str, *, version: int = VERSION, phase: str = "Running") -> bytes:
    meta: Json = {
        "name": name,
        "namespace": "default",
        "uid": name,
        "resourceVersion": f"{version}",
    }
    return pod_in_protobuf({"metadata": meta, "spec": {}, "status": {"phase": phase}})


def test_last_words_that_were_cut_within_a_letter_are_told() -> None:
    cut = "out of memory: größ".encode()[:-1]
    told: dict[str, Json] = {
        "metadata": {"resourceVersion": "1"},
        "spec": {"nodeName": "n"},
        "status": {"containerStatuses": [{"state": {"terminated": {"message": "WORDS"}}}]},
    }
    body = pod_in_protobuf(told, words={"WORDS": cut})
    assert pod_of(pod_shape(body), "default").message.endswith(
        "out of memory: grö\N{REPLACEMENT CHARACTER}"
    )


@given(st.lists(st.binary(max_size=40), max_size=6), st.data())
def test_frames_are_whole_however_they_come(bodies: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(len(body).to_bytes(4, "big") + body for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert list(frames(pieces)) == bodies
    assert list(frames([whole, b"\0\0\0\5rest"])) == bodies


def test_a_frame_without_an_end_is_left() -> None:
    with pytest.raises(UnavailableError, match="longer than 5000 bytes"):
        list(frames([b"\0\0\xff\xff", b"x"], longest=5000))


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff\xff\xff", id="no message"),
        pytest.param(event("RENAMED", a_pod("a")), id="no such event"),
        pytest.param(event("ADDED", a_pod("a"), magic=b"json"), id="no envelope"),
        pytest.param(event("ADDED", b"\xff\xff\xff"), id="no object"),
        pytest.param(event("ADDED", b""), id="an empty object"),
        pytest.param(event("BOOKMARK", b""), id="no version"),
        pytest.param(event("ERROR", b"\xff"), id="no status"),
        pytest.param(
            event("ADDED", pod_in_protobuf({"metadata": {"resourceVersion": "?"}})), id="no number"
        ),
    ],
)
def test_a_frame_that_can_not_be_read_is_unavailable(frame: bytes) -> None:
    said: object = None
    with pytest.raises(UnavailableError):
        said = framed("k", PODS, frame)
    assert said is None


def test_errors_are_read_in_protobuf_too() -> None:
    expired = status(410, "too old resource version: 7 (100)", reason="Expired")
    assert isinstance(error_said("k", expired), ExpiredError)
    assert "too old resource version: 7" in str(error_of("k", 410, expired))
    too_large = status(504, "Too large resource version", causes=["ResourceVersionTooLarge"])
    assert isinstance(error_of("k", 504, too_large), ExpiredError)
    busy = error_of("k", 429, status(429, "slow down", retry_after_s=7))
    assert isinstance(busy, BusyError)
    assert busy.after_s == 7
    assert isinstance(error_of("k", 403, status(403, "pods is forbidden")), RefusedError)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with api_server(tmp_path) as running:
        yield running


def framing(*bodies: bytes, holds: bool = True) -> Said:
    """In one piece, so that frames come as the network likes."""
    whole = b"".join(len(body).to_bytes(4, "big") + body for body in bodies)
    return Said(pieces=[whole[:7], whole[7:]], headers=FRAMES, holds=holds)


@pytest.mark.slow
def test_a_server_that_can_is_listed_and_watched_in_protobuf(server: ApiServer) -> None:
    begun = event("BOOKMARK", pod_in_protobuf(_mark(113)))
    watched = [framing(event("MODIFIED", a_pod("a", version=114)))]

    def answers(asked: Asked) -> Said | None:
        return watched.pop() if asked.watches and asked.plural == "pods" and watched else None

    server.beginnings = lambda asked: framing(
        event("ADDED", a_pod("a", version=90)),
        event("ADDED", a_pod("b", version=91)),
        event("DELETED", a_pod("b", version=92)),
        begun,
    )
    server.answers = answers
    cluster = server.cluster()
    listing = cluster.list()
    assert [(each.name, each.resource_version) for each in listing.pods] == [("a", 90)]
    assert listing.resource_version == 113
    change = next(each for each in cluster.watch(VERSION) if each.item is not None)
    assert change.pod is not None
    assert (change.pod.name, change.resource_version) == ("a", 114)
    accepted = {asked.headers["accept"] for asked in server.asked if "watch" in asked.query}
    assert accepted == {"application/json", "application/vnd.kubernetes.protobuf,application/json"}


def test_an_event_in_protobuf_is_an_object_of_its_kind() -> None:
    seen = framed("k", PODS, event("DELETED", a_pod("a", version=7, phase="Failed")))
    assert isinstance(seen, Seen)
    assert (seen.deleted, seen.told.there, seen.told.item.resource_version) == (True, False, 7)


def _mark(version: int) -> dict[str, Json]:
    annotations: Json = {"k8s.io/initial-events-end": "true"}
    return {"metadata": {"resourceVersion": str(version), "annotations": annotations}}
