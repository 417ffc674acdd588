"""What on a node that is emptied nobody moves, and what becomes of it, in words.

deploy moves what a spec in its log runs. What was adopted and has no spec yet, what nobody has
specified, and what is not midstage's at all stay where they are, unless somebody acts.
"""

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import quote

from midstage.client import api
from midstage.client.inventory import Pod
from midstage.contracts.errors import RefusedError, UnavailableError

_ADOPTED = "adopted"
_NAMED = 5


def strangers(pods: Sequence[Pod], node: str) -> str:
    """Of the node's pods those that are not midstage's, which it never touches; empty: none."""
    found = sorted(f"{pod.namespace}/{pod.name}" for pod in pods if not pod.app)
    if not found:
        return ""
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return (
        f"{len(found)} on {node} are not midstage's and stay there: {', '.join(found[:_NAMED])}"
        f"{more}; kubectl drain would evict them"
    )


def unmoved(deploy: api.Service | None, app: str, pods: Sequence[Pod]) -> str:
    """Why deploy moves none of the application's ``pods``; empty where it does, or who knows."""
    if deploy is None or _specified(deploy, app):
        return ""
    if all(pod.revision == _ADOPTED for pod in pods):
        return (
            "it was adopted and has no spec, so nobody moves it: its pods stay until one is "
            "applied, which replaces them elsewhere, or until --evict ends them as budgets let"
        )
    return (
        "deploy has no spec of it, so nobody moves it: its pods stay until --evict ends them as "
        "budgets let"
    )


def _specified(deploy: api.Service, app: str) -> bool:
    try:
        deploy.ask(f"/v1/apps/{quote(app, safe='')}", {})
    except RefusedError as e:
        return e.status != HTTPStatus.NOT_FOUND
    except UnavailableError:
        return True  # it is not known to be otherwise
    return True
