"""The one place of a running local cluster where its state changes, is kept, and is waited for.

Everything happens on the event loop's thread, and nothing waits between a change and its being
kept: what a caller or a watch has seen is on the disk, if it has to outlive the daemon.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import structs

from midstage.chassis.logs import logger
from midstage.cluster.leases import Leases
from midstage.cluster.objects import Lease, Node, Preview, Workload
from midstage.cluster.protocol import Ending
from midstage.cluster.state import State
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.local.cluster import keeping

_STEP = 10_000
_LONGEST_LEASE = timedelta(hours=1)
_HELD_OVER_A_RESTART = timedelta(seconds=5)

_log = logger(__name__)


def refusals(workload: Workload) -> Iterator[str]:
    """What the workload asks for that there is on Kubernetes alone; nothing is ignored silently."""
    template = workload.template
    for field, given in (
        ("env_from", template.env_from),
        ("volumes", template.volumes),
        ("pull_secrets", template.pull_secrets),
        ("spread (not required)", [each for each in template.spread if not each.required]),
        ("priority", template.priority),
    ):
        if given:
            yield f"template.{field}: the local cluster has none of it; Kubernetes has"


class Hub:
    """The state of one cluster with its file; ``now`` gives the time of day."""

    def __init__(self, *, nodes: Sequence[Node], file: Path, now: Callable[[], datetime]) -> None:
        """Go on with what ``file`` has; PlatformError where it can't be read."""
        kept = keeping.read(file)
        self.now = now
        self._file = file
        self._mark = kept.mark
        self._unkept = ""
        self._changed = asyncio.Event()
        self._state = State(nodes=nodes, fresh=lambda: uuid.uuid4().hex, begin=kept.mark)
        # renewals are not kept: who held a lease may hold it still, so nobody takes it early
        until = now() + _HELD_OVER_A_RESTART
        self._leases = Leases(
            (name, Lease(holder=lease.holder, epoch=lease.epoch, expires_at=until))
            for name, lease in kept.leases.items()
        )
        self._restore(kept.workloads)

    @property
    def state(self) -> State:
        """To read; changed inside ``changing`` only."""
        return self._state

    @contextmanager
    def changing(self) -> Iterator[State]:
        """Change the state in the block; then who waits is woken."""
        before = self._state.version
        try:
            yield self._state
        finally:
            if self._state.version != before:
                if self._state.version >= self._mark:
                    self._keep()
                self.ring()

    def put_workload(self, workload: Workload, *, expected: int, ending: Ending = None) -> Workload:
        """As ``Cluster.put_workload``; kept before it is answered."""
        for refusal in refusals(workload):
            raise RefusedError(refusal)
        with self._keeping() as state:
            return state.put_workload(workload, expected=expected, now=self.now(), ending=ending)

    def scale_workload(
        self, name: str, *, replicas: int, expected: int, ending: Ending = None
    ) -> Workload:
        """As ``Cluster.scale_workload``; kept before it is answered."""
        with self._keeping() as state:
            return state.scale_workload(
                name, replicas=replicas, expected=expected, now=self.now(), ending=ending
            )

    def preview(self, workload: Workload, *, expected: int) -> Preview:
        """As ``Cluster.preview``."""
        told = self._state.preview(workload, expected=expected)
        return structs.replace(told, refusals=tuple(refusals(workload)))

    def delete_workload(self, name: str, *, expected: int, ending: Ending = None) -> None:
        """As ``Cluster.delete_workload``; kept before it is answered."""
        with self._keeping() as state:
            state.delete_workload(name, expected=expected, now=self.now(), ending=ending)

    def take_lease(self, name: str, *, holder: str, within: timedelta) -> Lease:
        """As ``Cluster.take_lease``; a new holder's epoch is kept before it is answered."""
        if not timedelta(0) < within <= _LONGEST_LEASE or not holder:
            raise RefusedError("a lease has a holder, and holds for more than 0 s and at most 1 h")
        known = self._leases.by_name.get(name)
        lease = self._leases.take(name, holder=holder, within=within, now=self.now())
        if known is None or known.epoch != lease.epoch or self._unkept:
            self._keep()
            self._must_be_kept()
        return lease

    def ring(self) -> None:
        """Wake everybody who waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def heard(self, *, within_s: float) -> None:
        """Return after the next change, or when the time is up."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout=max(0.0, within_s))

    def unkept(self) -> str | None:
        """Why what happened can't be kept; None when it is."""
        return self._unkept or None

    def try_again(self) -> None:
        """Keep now what could not be kept before."""
        if self._unkept:
            self._keep()

    def _restore(self, workloads: Sequence[Workload]) -> None:
        with self.changing() as state:
            for workload in workloads:
                state.restore(workload, now=self.now())
        self._keep()

    @contextmanager
    def _keeping(self) -> Iterator[State]:
        before = self._state.version
        with self.changing() as state:
            yield state
            if state.version != before or self._unkept:
                self._keep()
        self._must_be_kept()

    def _keep(self) -> None:
        if self._state.version >= self._mark:
            self._mark = self._state.version + _STEP
        kept = keeping.Kept(
            mark=self._mark,
            workloads=tuple(self._state.workloads()),
            leases=self._leases.by_name,
        )
        try:
            keeping.write(self._file, kept)
        except OSError as e:
            self._unkept = f"{self._file} can't be written: {e.strerror}"
            _log.error("not_kept", file=str(self._file), reason=str(e))
        else:
            self._unkept = ""

    def _must_be_kept(self) -> None:
        if self._unkept:
            raise UnavailableError(self._unkept)
