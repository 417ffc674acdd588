"""Stories of an API server that is ill, restarted, too busy, or not what it should be."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from midstage.cluster.kubernetes import following
from midstage.cluster.kubernetes.lines import lines
from midstage.cluster.objects import Change
from midstage.cluster.protocol import ExpiredError
from midstage.contracts.errors import UnavailableError
from midstage.testkit.waiting import within

from .apiserver import (
    CUT,
    VERSION,
    Answers,
    ApiServer,
    Asked,
    Json,
    Said,
    api_server,
    bookmark,
    event,
    page,
    pod,
    said,
    status,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with api_server(tmp_path) as running:
        yield running


def pods_watch(*pieces: bytes, holds: bool = True) -> Answers:
    """The first watch of pods gets ``pieces``; each later one is silent."""
    left = [Said(pieces=pieces, holds=holds)]

    def answers(asked: Asked) -> Said | None:
        return left.pop() if asked.watches and asked.plural == "pods" and left else None

    return answers


def objects(watch: Iterator[Change], count: int) -> list[Change]:
    found: list[Change] = []
    while len(found) < count:
        change = next(watch)
        if change.item is not None:
            found.append(change)
    return found


def told(change: Change) -> tuple[str, bool, int]:
    assert change.pod is not None
    return change.pod.name, change.gone, change.resource_version


def test_everything_is_of_the_moment_at_which_the_pods_were_told(server: ApiServer) -> None:
    assert server.cluster().list().resource_version == VERSION
    others = [each for each in server.asked if each.plural in ("nodes", "deployments")]
    assert others
    for asked in others:
        assert asked.query["resourceVersion"] == str(VERSION)
        assert asked.query["resourceVersionMatch"] == "Exact"


def test_pages_are_put_together(server: ApiServer) -> None:
    def answers(asked: Asked) -> Said | None:
        if asked.plural != "pods":
            return None
        if "continue" not in asked.query:
            return page([pod("a"), pod("b")], more="next")
        assert "resourceVersion" not in asked.query
        return page([pod("c")])

    server.answers = answers
    assert [each.name for each in server.cluster().list().pods] == ["a", "b", "c"]


def test_a_page_that_has_expired_is_asked_for_anew_with_all_before_it(server: ApiServer) -> None:
    tries: list[str] = []

    def answers(asked: Asked) -> Said | None:
        if asked.plural != "pods":
            return None
        if "continue" not in asked.query:
            tries.append(asked.path)
            return page([pod(f"try-{len(tries)}")], more="" if len(tries) > 1 else "old")
        return said(status(410, "The provided continue parameter is too old"), status=410)

    server.answers = answers
    assert [each.name for each in server.cluster().list().pods] == ["try-2"]


def test_pages_that_expire_each_time_are_told_as_expired(server: ApiServer) -> None:
    def answers(asked: Asked) -> Said | None:
        if "continue" in asked.query:
            return said(status(410, "too old"), status=410)
        return page([pod("a")], more="old") if asked.plural == "pods" else None

    server.answers = answers
    with pytest.raises(ExpiredError, match="too old"):
        server.cluster().list()
    assert sum(asked.plural == "pods" and "continue" in asked.query for asked in server.asked) == 2


def beginning(*pieces: bytes, holds: bool = False) -> Answers:
    return lambda asked: Said(pieces=pieces, holds=holds) if asked.plural == "pods" else None


def begun(version: int) -> bytes:
    annotations: Json = {"k8s.io/initial-events-end": "true"}
    meta: Json = {"resourceVersion": str(version), "annotations": annotations}
    return event("BOOKMARK", {"metadata": meta})


def test_a_watch_that_begins_with_all_pods_tells_them_as_they_are_at_its_mark(
    server: ApiServer,
) -> None:
    server.beginnings = beginning(
        event("ADDED", pod("a", version=90)),
        event("ADDED", pod("b", version=91)),
        event("ADDED", pod("c", version=92)),
        bookmark(93),
        event("MODIFIED", pod("a", version=110, annotations={"n": "1"})),
        event("DELETED", pod("b", version=111)),
        event("MODIFIED", pod("c", version=112, phase="Failed")),
        begun(113),
        event("ADDED", pod("late", version=114)),
        holds=True,
    )
    listing = server.cluster().list()
    assert [(each.name, each.resource_version) for each in listing.pods] == [("a", 110)]
    assert listing.resource_version == 113
    nodes = [asked.query for asked in server.asked if asked.plural == "nodes"]
    assert [query["resourceVersion"] for query in nodes] == ["113"]
    assert not any(asked.query.get("limit") for asked in server.asked if asked.plural == "pods")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(beginning(event("ADDED", pod("a"))), id="never marked"),
        pytest.param(beginning(event("ADDED", pod("a")), CUT), id="broken"),
        pytest.param(beginning(b"{]\n"), id="garbage"),
        pytest.param(None, id="refused"),
        pytest.param(lambda _: said(status(403, "forbidden"), status=403), id="forbidden"),
    ],
)
def test_a_server_that_can_not_begin_so_is_asked_for_pages(
    server: ApiServer, answer: Answers | None
) -> None:
    server.beginnings = answer
    server.answers = lambda asked: page([pod("p")]) if asked.plural == "pods" else None
    assert [each.name for each in server.cluster().list().pods] == ["p"]


def test_who_was_refused_a_beginning_does_not_ask_again(server: ApiServer) -> None:
    cluster = server.cluster()
    cluster.list()
    cluster.list()
    assert sum(asked.begins for asked in server.asked) == 1


def test_a_page_that_leads_to_itself_is_left(server: ApiServer) -> None:
    server.answers = lambda asked: page([], more="again") if asked.plural == "pods" else None
    with pytest.raises(UnavailableError, match="again and again"):
        server.cluster().list()


@pytest.mark.parametrize("inside", [True, False], ids=["as an event", "as the answer"])
def test_a_watch_whose_beginning_is_forgotten_has_expired(server: ApiServer, inside: bool) -> None:
    gone = status(410, "too old resource version: 7 (100)", reason="Expired")

    def answers(asked: Asked) -> Said | None:
        if not (asked.watches and asked.plural == "pods"):
            return None
        return Said(pieces=[event("ERROR", gone)]) if inside else said(gone, status=410)

    server.answers = answers
    with pytest.raises(ExpiredError, match="too old resource version: 7"):
        objects(server.cluster().watch(7), 1)


def test_what_came_before_an_error_is_told_before_it(server: ApiServer) -> None:
    gone = event("ERROR", status(410, "too old"))
    server.answers = pods_watch(event("ADDED", pod("a", version=101)), gone)
    watch = server.cluster().watch(VERSION)
    assert told(*objects(watch, 1)) == ("a", False, 101)
    with pytest.raises(ExpiredError):
        objects(watch, 1)


def test_a_version_that_the_server_was_never_at_has_expired(server: ApiServer) -> None:
    with pytest.raises(ExpiredError, match="was never at 101"):
        next(server.cluster().watch(101))
    with pytest.raises(ExpiredError):
        next(server.cluster().watch(0))


def test_a_line_that_breaks_in_the_middle_is_not_taken_for_an_object(server: ApiServer) -> None:
    whole = event("ADDED", pod("b", version=102))
    server.answers = pods_watch(event("ADDED", pod("a", version=101)), whole[:40], CUT)
    watch = server.cluster().watch(VERSION)
    assert told(*objects(watch, 1)) == ("a", False, 101)
    with pytest.raises(UnavailableError, match="does not answer"):
        objects(watch, 1)


def test_a_watch_that_ends_goes_on_where_it_was(server: ApiServer) -> None:
    server.answers = pods_watch(event("ADDED", pod("a", version=101)), bookmark(120), holds=False)
    watch = server.cluster().watch(VERSION)
    objects(watch, 1)

    def resumed() -> list[Asked]:
        return [each for each in server.asked if each.query.get("resourceVersion") == "120"]

    (again,) = within(60, resumed)
    assert (again.plural, again.watches) == ("pods", True)


def test_a_watch_that_ends_as_it_begins_is_no_hot_loop(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_AT_ONCE_S", 60.0)  # however long a busy machine takes for it
    server.answers = lambda asked: Said() if asked.watches and asked.plural == "pods" else None
    with pytest.raises(UnavailableError, match="ends the watch of pods as it begins"):
        objects(server.cluster().watch(VERSION), 1)
    assert sum(asked.watches and asked.plural == "pods" for asked in server.asked) == 1


def test_a_line_on_which_nothing_comes_is_half_open(server: ApiServer) -> None:
    with pytest.raises(UnavailableError, match="timed out"):
        objects(server.cluster(silent_s=0.5).watch(VERSION), 1)


def test_a_server_that_accepts_and_says_nothing_is_unavailable(server: ApiServer) -> None:
    server.answers = lambda asked: Said(holds=True) if asked.path == "/api" else None
    cluster = server.cluster()
    with pytest.raises(UnavailableError, match="timed out"):
        cluster._connection.request("GET", "/api", within_s=0.3)


def test_bookmarks_do_not_run_ahead_of_the_slowest_kind(server: ApiServer) -> None:
    server.answers = pods_watch(bookmark(500))
    watch = server.cluster().watch(VERSION)
    assert next(watch) == Change(resource_version=VERSION)


def test_busy_is_asked_again_when_the_server_says_so(server: ApiServer) -> None:
    left = [said(status(429, "slow down"), status=429, headers={"retry-after": "0"})] * 2
    server.answers = lambda asked: left.pop() if asked.plural == "nodes" and left else None
    assert server.cluster().list().resource_version == VERSION
    assert server.count()["nodes"] == 3


def test_busy_for_long_is_unavailable_at_once(server: ApiServer) -> None:
    busy = said(status(429, "come back tomorrow"), status=429, headers={"retry-after": "86400"})
    server.answers = lambda asked: busy if asked.plural == "nodes" else None
    with pytest.raises(UnavailableError, match="come back tomorrow"):
        server.cluster().list()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>bad gateway</html>", id="html"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
        pytest.param(b'{"metadata":{"resourceVersion":"x"}}', id="no version"),
        pytest.param(b'{"metadata":{"resourceVersion":"1"},"items":[{"metadata":3}]}', id="shape"),
        pytest.param(b'{"metadata":{"resourceVersion":"1"},"items":{}}', id="no list"),
    ],
)
def test_what_can_not_be_read_is_unavailable(server: ApiServer, body: bytes) -> None:
    server.answers = lambda asked: Said(pieces=[body]) if asked.plural == "pods" else None
    with pytest.raises(UnavailableError, match="ill"):
        server.cluster().list()


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"{]\n", id="no json"),
        pytest.param(b'"text"\n', id="no event"),
        pytest.param(event("RENAMED", pod("a")), id="no such event"),
        pytest.param(event("ADDED", {"metadata": "x"}), id="no object"),
        pytest.param(event("ERROR", "out of order"), id="no status"),
        pytest.param(event("BOOKMARK", {"metadata": {"resourceVersion": "?"}}), id="no version"),
        pytest.param(event("ADDED", pod("a", resourceVersion="?")), id="no number"),
    ],
)
def test_a_line_that_can_not_be_read_ends_the_watch(server: ApiServer, line: bytes) -> None:
    server.answers = pods_watch(event("ADDED", pod("good", version=101)), line)
    watch = server.cluster().watch(VERSION)
    assert told(*objects(watch, 1)) == ("good", False, 101)
    with pytest.raises(UnavailableError):
        objects(watch, 1)


def test_a_huge_object_comes_through(server: ApiServer) -> None:
    note = "x" * 3_000_000
    huge = event("ADDED", pod("huge", version=101, annotations={"note": note}))
    pieces = [huge[at : at + 50_000] for at in range(0, len(huge), 50_000)]
    server.answers = pods_watch(*pieces)
    assert told(*objects(server.cluster().watch(VERSION), 1)) == ("huge", False, 101)


def test_a_line_without_an_end_is_left() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 1000

    with pytest.raises(UnavailableError, match="no end within 5000 bytes"):
        list(lines(endless(), longest=5000))


def test_lines_are_whole_however_they_come() -> None:
    assert list(lines([b"a\nb", b"", b"c\n\nd\n", b"rest"])) == [b"a", b"bc", b"", b"d"]


def test_a_pod_that_is_over_is_told_gone_once(server: ApiServer) -> None:
    server.answers = pods_watch(
        event("ADDED", pod("a", version=101)),
        event("MODIFIED", pod("a", version=102, phase="Failed")),
        event("MODIFIED", pod("a", version=103, phase="Failed")),
        event("DELETED", pod("a", version=104, phase="Failed")),
        event("ADDED", pod("b", version=105)),
        event("DELETED", pod("b", version=106)),
    )
    found = objects(server.cluster().watch(VERSION), 4)
    assert [told(change) for change in found] == [
        ("a", False, 101),
        ("a", True, 102),
        ("b", False, 105),
        ("b", True, 106),
    ]


def test_a_pod_that_was_over_by_the_listing_is_never_told(server: ApiServer) -> None:
    over = pod("a", phase="Succeeded")
    watched = pods_watch(
        event("MODIFIED", pod("a", version=101, phase="Succeeded")),
        event("DELETED", pod("a", version=102, phase="Succeeded")),
        event("ADDED", pod("b", version=103)),
    )
    server.answers = lambda asked: (
        watched(asked) if asked.watches or asked.plural != "pods" else page([over, pod("c")])
    )
    cluster = server.cluster()
    listing = cluster.list()
    assert [each.name for each in listing.pods] == ["c"]
    assert told(*objects(cluster.watch(listing.resource_version), 1)) == ("b", False, 103)


def test_closing_a_watch_lets_go_of_its_lines_at_once(server: ApiServer) -> None:
    watch = server.cluster().watch(VERSION)
    next(watch)
    watch.close()  # type: ignore[attr-defined]  # it is a generator
    within(60, lambda: not [t for t in threading.enumerate() if t.name.startswith("watch-")])
