"""Answers without end: changes from any place on, what a pod writes, bounds, an orderly stop."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from midstage.cluster.memory import MemoryCluster
from midstage.contracts.cluster import ObjectGone
from midstage.eventlog.log import Partition
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within
from tests import patient
from tests.control.conftest import (
    Pair,
    really,
    running,
    scaled,
    settings_in,
    state,
    workload,
)

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One SSE block."""

    id: str
    event: str
    data: str

    @property
    def name(self) -> str:
        name: str = json.loads(self.data)["data"]["name"]
        return name


def blocks(answer: httpx.Response) -> Iterator[Block]:
    """The blocks with data; comments are skipped, as a browser does, but keep the id."""
    fields: dict[str, str] = {}
    last = ""
    for line in answer.iter_lines():
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        last = fields.get("id", last)
        if "data" in fields:
            yield Block(id=last, event=fields["event"], data=fields["data"])
        fields = {}


@contextmanager
def events(http: httpx.Client, **params: str | int) -> Iterator[Iterator[Block]]:
    with http.stream("GET", "/v1/events", params=params) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield blocks(answer)


def test_each_change_comes_as_it_happens(
    both: Pair, cluster: MemoryCluster, tmp_path: Path
) -> None:
    with running(both, [cluster], tmp_path) as http, events(http, tail=1) as stream:
        next(stream)
        scaled(cluster, 1)
        wanted = {"dev.midstage.workload.observed.v1", "dev.midstage.object.gone.v1"}
        kinds: set[str] = set()
        while not wanted <= kinds:
            kinds.add(next(stream).event)
        assert "dev.midstage.cluster.reached.v1" not in kinds


def test_going_on_misses_nothing_and_doubles_nothing(
    both: Pair, cluster: MemoryCluster, tmp_path: Path
) -> None:
    """Read a piece, break off, go on from its last id, also at another process: as one reading."""
    with running(both, [cluster], tmp_path) as http:
        with events(http, tail=1) as stream:
            begin = next(stream).id or first_place(http)
        for replicas in (4, 1, 3, 0):
            scaled(cluster, replicas)
        within(60, lambda: len(both.said(ObjectGone)) == 6)
        within(60, lambda: state(both.written(both.stream)) == really(cluster))
        with events(http, after=begin, follow="false") as stream:
            whole = list(stream)
        pieces: list[Block] = []
        with events(http, after=begin) as stream:
            pieces += [next(stream) for _ in range(5)]
    with running(both, [cluster], tmp_path) as http:
        headers = {"Last-Event-ID": pieces[-1].id}
        with http.stream("GET", "/v1/events?follow=false", headers=headers) as answer:
            pieces += blocks(answer)
    ids = [json.loads(block.data)["id"] for block in pieces]
    assert len(set(ids)) == len(ids)
    assert set(ids) == {json.loads(block.data)["id"] for block in whole}


def test_the_last_changes_and_no_more(pair: Pair, cluster: MemoryCluster, tmp_path: Path) -> None:
    with running(pair, [cluster], tmp_path) as http:
        scaled(cluster, 0)
        within(60, lambda: len(pair.said(ObjectGone)) == 2)
        with events(http, tail=2, follow="false", kind="pod") as stream:
            found = list(stream)
        assert [block.event for block in found] == ["dev.midstage.object.gone.v1"] * 2
        with events(http, tail=100, follow="false", app="nobody's") as stream:
            assert list(stream) == []
        with events(http, tail=100, follow="false", everything="true") as stream:
            assert "dev.midstage.cluster.reached.v1" in {block.event for block in stream}


def test_changes_that_are_not_held_any_more_are_refused(
    pair: Pair, cluster: MemoryCluster, tmp_path: Path
) -> None:
    assert isinstance(pair.log, MemoryLog)
    with running(pair, [cluster], tmp_path) as http:
        place = next(p for p, end in ends(pair).items() if end > 0)
        pair.log.forget(place, 1)
        answer = http.get("/v1/events", params={"after": "0.0.0.0.0.0"})
        assert answer.status_code == 410
        assert "read the state anew" in answer.json()["detail"]


def test_so_many_streams_and_no_more(pair: Pair, cluster: MemoryCluster, tmp_path: Path) -> None:
    settings = settings_in(tmp_path, streams=1)
    with running(pair, [cluster], tmp_path, settings=settings) as http:
        with events(http, tail=1) as stream:
            next(stream)
            refused = http.get("/v1/events")
            assert refused.status_code == 503
            assert "close one" in refused.json()["detail"]
            assert http.get("/v1/pods").status_code == 200
        within(60, lambda: http.get("/v1/events?follow=false").status_code == 200)


def test_a_process_that_stops_ends_its_streams(
    pair: Pair, cluster: MemoryCluster, tmp_path: Path
) -> None:
    ended = threading.Event()
    begun = threading.Event()

    def listen(address: httpx.URL) -> None:
        with patient.client(base_url=address) as http, events(http, tail=1) as stream:
            for _ in stream:
                begun.set()
            ended.set()  # orderly: a connection that is cut off raises

    with running(pair, [cluster], tmp_path) as http:
        thread = threading.Thread(target=listen, args=[http.base_url])
        thread.start()
        assert begun.wait(60)
    thread.join(60)
    assert ended.is_set()


def test_what_a_pod_writes(pair: Pair, cluster: MemoryCluster, tmp_path: Path) -> None:
    name = cluster.pods()[0].name
    cluster.say(name, b"one\n")
    cluster.say(name, b"two\n\xff\n")
    with running(pair, [cluster], tmp_path) as http:
        path = f"/v1/pods/local/default/{name}/logs"
        answer = http.get(path)
        assert answer.content == b"one\ntwo\n\xff\n"
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert http.get(path, params={"tail": 2}).content == b"two\n\xff\n"
        assert http.get(path, params={"tail": 0}).content == b""
        assert http.get(path, params={"previous": "true"}).status_code == 404
        assert http.get("/v1/pods/local/default/nobody/logs").status_code == 404
        cluster.cut()
        assert http.get(path).status_code == 503


class Talkative(MemoryCluster):
    """Its pods write one line, wait for ``go``, and then write without end."""

    def __init__(self) -> None:
        super().__init__(name="local")
        self.go = threading.Event()
        self.closed = threading.Event()

    def logs(
        self, pod: str, *, follow: bool = False, tail: int | None = None, previous: bool = False
    ) -> Iterator[bytes]:
        if not follow:
            return
        yield b"first\n"
        self.go.wait(60)
        yield b"second\n"
        try:
            while True:
                yield b"more\n"
        finally:
            self.closed.set()


def test_output_comes_as_it_is_written(pair: Pair, tmp_path: Path) -> None:
    cluster = Talkative()
    cluster.put_workload(workload(1), expected=0)
    cluster.settle()
    name = cluster.pods()[0].name
    with running(pair, [cluster], tmp_path) as http:
        path = f"/v1/pods/local/default/{name}/logs"
        with http.stream("GET", path, params={"follow": "true"}) as answer:
            pieces = answer.iter_raw()
            assert next(pieces) == b"first\n"  # the second one was not written yet
            cluster.go.set()
            assert next(pieces).startswith(b"second\n")
        assert cluster.closed.wait(60)


def test_a_quiet_pod_is_listened_to_at_once(
    pair: Pair, cluster: MemoryCluster, tmp_path: Path
) -> None:
    name = cluster.pods()[0].name
    with running(pair, [cluster], tmp_path) as http:
        path = f"/v1/pods/local/default/{name}/logs"
        with http.stream("GET", path, params={"follow": "true"}) as answer:
            assert answer.status_code == 200  # and it has written nothing
            cluster.say(name, b"now\n")
            assert next(answer.iter_raw()) == b"now\n"
        follow = {"follow": "true", "previous": "true"}
        assert http.get(path, params=follow).status_code == 404


def ends(pair: Pair) -> Mapping[Partition, int]:
    places = pair.log.partitions(pair.stream.name)
    return pair.log.ends(places)


def first_place(http: httpx.Client) -> str:
    """The id of what has happened so far."""
    answer = http.get("/v1/events", params={"follow": "false"}).text
    return answer.split("id: ")[1].split()[0]
