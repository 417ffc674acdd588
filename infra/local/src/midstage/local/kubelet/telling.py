"""What is told to Kubernetes of one pod: always the newest, one write at a time, late if need be.

A pod that is not there any more, or another of its name, is told nothing: ``gone`` is called.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from midstage.chassis.logs import logger
from midstage.cluster.protocol import ConflictError
from midstage.contracts.errors import RefusedError
from midstage.local.kubelet import standing
from midstage.local.kubelet.cluster import STRATEGIC, Cluster, insisted
from midstage.local.kubelet.shapes import Pod
from midstage.local.kubelet.standing import Standing

_CONFLICTS = 5
_AGAIN_S = 0.2

_log = logger(__name__)


class Telling:
    """Tells of ``pod``; ``now`` gives the time of day."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        pod: Pod,
        pod_ip: str,
        now: Callable[[], datetime],
        gone: Callable[[], None],
    ) -> None:
        """Nothing is told yet."""
        self._cluster = cluster
        self._pod = pod
        self._pod_ip = pod_ip
        self._now = now
        self._gone = gone
        self._path = f"/api/v1/namespaces/{pod.metadata.namespace}/pods/{pod.metadata.name}"
        self._began = pod.status.start_time or now()
        self._due = asyncio.Event()
        self._told = asyncio.Event()
        self._version = 0
        self.standing = standing.taken_over(pod, now=now())

    def become(self, after: Standing) -> None:
        """From now on this is how it stands."""
        since = standing.stamped(after, self.standing, now=self._now())
        self.standing = replace(after, since=since)
        self._due.set()
        self._told.clear()

    def compare(self, pod: Pod) -> None:
        """Tell again where somebody has changed what was told."""
        if (
            self._told.is_set()
            and pod.metadata.version > self._version
            and not standing.reads(pod, self.standing)
        ):
            self._due.set()
            self._told.clear()

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            if not await self.tell():
                return
            if not self._due.is_set():
                self._told.set()

    async def told(self) -> None:
        """Return when everything was told."""
        await self._told.wait()

    async def tell(self) -> bool:
        """Tell how it stands now, as soon as that can be; False where nobody wants to know."""
        for _ in range(_CONFLICTS):
            try:
                written = await insisted(self._write, what=f"status of {self._pod.metadata.name}")
            except ConflictError:
                await asyncio.sleep(_AGAIN_S)
                continue
            except RefusedError as e:
                if e.status != 404:
                    _log.error("status_refused", pod=self._pod.metadata.name, reason=str(e))
                    return True
                break
            self._version = written
            return True
        self._told.set()
        self._gone()
        return False

    async def end(self) -> None:
        """The pod is to be there no more."""
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": self._pod.metadata.uid}}

        async def delete() -> None:
            with suppress(RefusedError):  # it is gone, or another one has its name
                await self._cluster.delete(self._path, body)

        await insisted(delete, what=f"end of {self._pod.metadata.name}")

    async def _write(self) -> int:
        body = standing.patch(self._pod, self.standing, pod_ip=self._pod_ip, started_at=self._began)
        meta = await self._cluster.merge(f"{self._path}/status", body, kind=STRATEGIC)
        return meta.version
