"""What goes wrong with a revision on a real Kubernetes is undone, put right, or shown."""

import msgspec
import pytest

from midstage.contracts.apps import AppSpec, Rollout, revision_of
from midstage.contracts.running import OnDrift, OnFailure
from midstage.local.platform import Platform
from midstage.testkit.waiting import within
from tests import patient
from tests.stories.loop import await_settled, delete, fault, put, spec
from tests.stories.steady import steady
from tests.stories.test_loop import GOOD
from tests.stories.turns import another

from .seen import STRANGER, Seen

pytestmark = [
    *(pytest.mark.kubernetes, pytest.mark.platform, pytest.mark.slow),
]


def test_a_bad_revision_is_undone_by_itself_and_nobody_notices(platform: Platform) -> None:
    undone = Rollout(on_failure=OnFailure.UNDO, progress_within_s=300)
    good = spec("shaky", replicas=2, rollout=undone)
    put(platform, "shaky", good)
    await_settled(platform, "shaky", replicas=2, revision=revision_of(good))
    bad = msgspec.structs.replace(another("shaky", replicas=2, number="bad"), rollout=undone)
    fault(platform, fault="crash_loop", app="shaky", revision=revision_of(bad), exit_code=3)
    with steady(platform, "shaky", callers=3) as load:
        put(platform, "shaky", bad)
        within(180, lambda: "exit" in undo_of(platform, "shaky", revision_of(bad)), every=0.2)
        await_settled(platform, "shaky", replicas=2, revision=revision_of(good))
    assert load.share_ok >= GOOD, load.ends
    assert not load.aborted, load.ends
    delete(platform, "shaky")


def test_what_somebody_else_changes_is_put_right(platform: Platform, seen: Seen) -> None:
    wanted = drifted(platform, seen, spec("adrift", replicas=1))
    name = f"adrift-{revision_of(wanted)}"
    within(60, lambda: not drift(seen, name))
    await_settled(platform, "adrift", replicas=1, revision=revision_of(wanted))
    delete(platform, "adrift")


def test_what_a_spec_tolerates_is_shown_and_left(platform: Platform, seen: Seen) -> None:
    wanted = drifted(platform, seen, spec("loose", replicas=1, drift=OnDrift.TOLERATE))
    name = f"loose-{revision_of(wanted)}"
    within(60, lambda: any(STRANGER in each for each in shown(platform, "loose")))
    put(platform, "loose", msgspec.structs.replace(wanted, replicas=2))
    await_settled(platform, "loose", replicas=2)
    assert drift(seen, name)
    delete(platform, "loose")


def drifted(platform: Platform, seen: Seen, wanted: AppSpec) -> AppSpec:
    """The application, with a field of its deployment that somebody else has taken over."""
    app = wanted.routes.prefix[1:] if wanted.routes.prefix else ""
    put(platform, app, wanted)
    await_settled(platform, app, replicas=wanted.replicas)
    name = f"{app}-{revision_of(wanted)}"
    seen.applied(name, {"spec": {"minReadySeconds": 7}})
    within(60, lambda: drift(seen, name) or wanted.drift is OnDrift.CORRECT)
    return wanted


def drift(seen: Seen, workload: str) -> tuple[str, ...]:
    """What the cluster says of fields that somebody else has set."""
    return next(each.drift for each in seen.cluster.list().workloads if each.name == workload)


def shown(platform: Platform, app: str) -> list[str]:
    """The drift in deploy's status."""
    answer = patient.get(f"{platform.addresses.deploy}/v1/apps/{app}")
    found: list[str] = answer.raise_for_status().json()["status"]["drift"]
    return found


def undo_of(platform: Platform, app: str, revision: str) -> str:
    """Why the revision was left by an undo; empty while it was not."""
    answer = patient.get(f"{platform.addresses.deploy}/v1/apps/{app}")
    if not answer.is_success or answer.json()["undoes"] != revision:
        return ""
    return str(answer.json()["why"])
