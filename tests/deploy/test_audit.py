"""Who gave an application which policy, or looked what it would change: it is in the audit."""

import pytest

from midstage.contracts.audit import Queried
from midstage.eventlog.codec import Decoder
from midstage.eventlog.standing import standing
from midstage.testkit.waiting import within
from tests.deploy.conftest import TOKEN, Running

ROUTE = "/v1/apps/{app}/scaling"
POLICY = '{"max": 4, "targets": {"concurrency": 2}}'
NONE = '{"max": 0}'


def audited(deploy: Running) -> set[tuple[str, str, str, str, int]]:
    read = Decoder(deploy.read.audit)
    facts = [read(record).data for record in standing(deploy.log, deploy.read.audit.name)]
    return {
        (one.actor, one.method, one.route, one.query, one.status)
        for one in facts
        if isinstance(one, Queried) and one.service == "deploy"
    }


@pytest.mark.slow
def test_each_policy_goes_to_the_audit_with_what_became_of_it(deploy: Running) -> None:
    deploy.put("audited")
    headers = {"authorization": f"Bearer {TOKEN}"}
    path = "/v1/apps/audited/scaling"
    deploy.http.post(f"{path}/diff", content=POLICY, headers=headers)
    deploy.http.put(f"{path}?by=anna&why=more", content=POLICY, headers=headers)
    deploy.http.put(path, content=NONE, headers=headers)
    deploy.http.put("/v1/apps/nobody/scaling", content=POLICY, headers=headers)
    deploy.http.put(path, content=POLICY, headers={"authorization": "Bearer wrong"})
    within(60, lambda: len(audited(deploy)) == 4)
    assert audited(deploy) == {
        ("operator", "POST", f"{ROUTE}/diff", f"app=audited&{POLICY}", 200),
        ("operator", "PUT", ROUTE, f"app=audited&by=anna&why=more&{POLICY}", 200),
        ("operator", "PUT", ROUTE, f"app=audited&{NONE}", 422),
        ("operator", "PUT", ROUTE, f"app=nobody&{POLICY}", 404),
    }
