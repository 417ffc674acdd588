"""Leases of Kubernetes whatever the clocks say, and whoever was faster."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from midstage.cluster.objects import Lease
from midstage.contracts.errors import UnavailableError
from midstage.testkit.waiting import within

from .apiserver import ApiServer, Asked, Json, Said, api_server, said, status

pytestmark = pytest.mark.slow
LONG = timedelta(seconds=60)


class Stored:
    """One lease as an API server keeps it, by a clock that is off by ``skew``."""

    def __init__(self, skew: timedelta = timedelta(0)) -> None:
        self.skew = skew
        self.lease: dict[str, Json] | None = None
        self.version = 0
        self.faster = 0  # so many writes of somebody else come first
        self.writes = 0

    def __call__(self, asked: Asked) -> Said | None:
        if asked.path == "/api":
            return self._told({"versions": ["v1"]}, 200)
        if "/leases" not in asked.path:
            return None
        if asked.method == "GET":
            if self.lease is None:
                return self._told(status(404, "no such lease"), 404)
            return self._told(self.lease, 200)
        return self._write(json.loads(asked.body))

    @property
    def spec(self) -> dict[str, Json]:
        assert self.lease is not None
        found = self.lease["spec"]
        assert isinstance(found, dict)
        return found

    def _write(self, told: dict[str, dict[str, Json]]) -> Said:
        expected = told["metadata"].get("resourceVersion", "0")
        if self.faster and self.lease is not None:
            self.faster -= 1
            self.version += 1
        if str(expected) != str(self.version if self.lease else 0):
            return self._told(status(409, "the object has been modified"), 409)
        self.version += 1
        self.writes += 1
        meta: dict[str, Json] = {**told["metadata"], "resourceVersion": str(self.version)}
        self.lease = {"metadata": meta, "spec": told["spec"]}
        return self._told(self.lease, 201)

    def _told(self, body: Json, code: int) -> Said:
        if isinstance(body, dict) and isinstance(body.get("metadata"), dict):
            body = {**body, "metadata": {"resourceVersion": str(self.version)}}
        now = datetime.now(UTC) + self.skew
        return said(body, status=code, headers={"date": format_datetime(now, usegmt=True)})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with api_server(tmp_path) as running:
        yield running


def taken(server: ApiServer, holder: str, *, lasts: timedelta = LONG) -> Lease:
    """As a process of its own takes it, which has never seen it before."""
    with server.cluster() as cluster:
        return cluster.take_lease("l", holder=holder, within=lasts)


@pytest.mark.parametrize("hours", [-3, 0, 3], ids=["behind", "right", "ahead"])
def test_a_lease_holds_whatever_the_clocks_say(server: ApiServer, hours: int) -> None:
    server.answers = Stored(skew=timedelta(hours=hours))
    with server.cluster() as holder, server.cluster() as other:
        for _ in range(2):
            held = holder.take_lease("l", holder="a", within=LONG)
            assert (held.holder, held.epoch) == ("a", 1)
            assert other.take_lease("l", holder="b", within=LONG) == held


def test_renewals_are_written_in_the_servers_time(server: ApiServer) -> None:
    stored = server.answers = Stored(skew=timedelta(hours=3))
    taken(server, "a")
    taken(server, "a")
    renewed = datetime.fromisoformat(str(stored.spec["renewTime"]))
    ahead = renewed - datetime.now(UTC)
    assert timedelta(hours=2.9) < ahead < timedelta(hours=3.1)


def test_a_lease_that_ran_out_long_ago_is_taken_at_once(server: ApiServer) -> None:
    stored = server.answers = Stored()
    taken(server, "a")
    stored.spec["renewTime"] = "2020-01-01T00:00:00.000000Z"
    assert (taken(server, "b").holder, stored.spec["leaseTransitions"]) == ("b", 1)


def test_a_holder_that_is_silent_loses_it_after_its_whole_time(server: ApiServer) -> None:
    """Also where its clock ran ahead: nobody's clock is asked, only how long nothing changed."""
    stored = server.answers = Stored()
    taken(server, "a", lasts=timedelta(seconds=1))
    stored.spec["renewTime"] = "2090-01-01T00:00:00.000000Z"
    with server.cluster() as other:
        assert other.take_lease("l", holder="b", within=LONG).holder == "a"
        within(60, lambda: other.take_lease("l", holder="b", within=LONG).holder == "b", every=0.1)
        assert other.take_lease("l", holder="b", within=LONG).epoch == 2


def test_who_comes_second_is_told_who_came_first(server: ApiServer) -> None:
    stored = server.answers = Stored()
    taken(server, "a")
    stored.faster = 2
    assert taken(server, "a").epoch == 1
    stored.faster = 1000
    with pytest.raises(UnavailableError, match="changes all the time"):
        taken(server, "a")


def test_a_lease_that_was_made_by_others_is_read(server: ApiServer) -> None:
    stored = server.answers = Stored()
    stored.version = 5
    empty: dict[str, Json] = {"metadata": {"name": "l"}, "spec": {"holderIdentity": ""}}
    stored.lease = empty
    assert (taken(server, "a").holder, stored.writes) == ("a", 1)


def test_a_lease_that_can_not_be_read_is_unavailable(server: ApiServer) -> None:
    strange = said({"metadata": {"name": "l"}, "spec": {"renewTime": "yesterday"}})
    server.answers = lambda asked: strange if "/leases" in asked.path else None
    with pytest.raises(UnavailableError, match="can't be read"):
        taken(server, "a")
