"""What people read of a plan, and with what the command leaves."""

import msgspec
import pytest

from midstage.client.diffs import Diff, exit_code, lines

QUOTA = "exceeded quota: q, requested: pods=1, used: pods=4, limited: pods=4"


def answered(**other: object) -> Diff:
    answer = {
        "app": "ocr",
        "exists": True,
        "changes": [],
        "revision": "0123456789",
        "new_revision": False,
        "rollout": "none",
        "reason": "",
        **other,
    }
    return msgspec.json.decode(msgspec.json.encode(answer), type=Diff)


def plan(**other: object) -> dict[str, object]:
    found = {"workload": "ocr-0123456789", "creates": True, "changes": [], "unknown": ""}
    return {**found, "conflicts": [], "refusals": [], **other}


def test_what_changes_is_said_for_the_spec_and_the_cluster() -> None:
    found = answered(
        changes=[{"path": "image", "from": "ocr:1", "to": "ocr:2"}],
        new_revision=True,
        rollout="surge",
        cluster=plan(
            changes=[{"path": "spec.containers[app].image", "from": "ocr:1", "to": "ocr:2"}],
            conflicts=["kubectl: spec.replicas"],
        ),
    )
    assert list(lines(found)) == [
        "app ocr changes, revision 0123456789, rollout surge",
        '  ~ image: "ocr:1" -> "ocr:2"',
        "  in the cluster, a new workload ocr-0123456789:",
        '    ~ spec.containers[app].image: "ocr:1" -> "ocr:2"',
        "  ! set by another: kubectl: spec.replicas",
    ]
    assert exit_code([answered(), found]) == 1


def test_what_goes_with_an_application_is_said_beside_it() -> None:
    found = answered(
        cluster=plan(
            beside=[{"path": "services spec.sessionAffinity", "from": "ClientIP", "to": None}],
            conflicts=["kubectl: services spec.sessionAffinity"],
        )
    )
    assert list(lines(found)) == [
        "app ocr unchanged, but not in the cluster",
        "  beside it, in the cluster:",
        '    - services spec.sessionAffinity: "ClientIP"',
        "  ! set by another: kubectl: services spec.sessionAffinity",
    ]
    assert exit_code([found]) == 1


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        (answered(), 0, "app ocr unchanged"),
        (answered(exists=False, rollout="first"), 1, "app ocr is new, same revision"),
        (answered(rollout="refused", reason="0/4 nodes"), 2, ""),
        (answered(cluster=plan(refusals=[QUOTA])), 2, f"  ! refused: {QUOTA}"),
        (answered(cluster=plan(unknown="no route")), 2, "the cluster does not say: no route"),
        (
            answered(cluster=plan(creates=False, changes=[{"path": "p", "from": 9, "to": None}])),
            1,
            "app ocr unchanged, but not in the cluster",
        ),
    ],
)
def test_the_worst_is_what_the_command_leaves_with(found: Diff, code: int, said: str) -> None:
    assert exit_code([found]) == code
    assert said in "\n".join(lines(found))
