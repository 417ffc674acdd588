"""Bundles on their way to deploy, which carries out all of one or nothing."""

import os
import uuid
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

import msgspec

from midstage.client import api
from midstage.client.specs import Packed
from midstage.contracts.errors import RefusedError


class Done(msgspec.Struct):
    """What became of one application."""

    app: str
    outcome: str
    revision: str
    version: int
    rollout: str


class _Refused(msgspec.Struct):
    app: str
    detail: str


class _Answer(msgspec.Struct):
    apps: list[Done]
    refused: list[_Refused]


def apply(
    deploy: api.Service,
    bundles: Sequence[Packed],
    *,
    why: str,
    even_so: bool = False,
    say: Callable[[str], None],
) -> tuple[list[Done], int]:
    """What became of the applications, and how many of them, or whole bundles, were refused."""
    done: list[Done] = []
    refused = 0
    for each in bundles:
        try:
            answer = _sent(deploy, each, why, even_so=even_so)
        except RefusedError as e:
            refused += 1
            say(f"{each.file}: nothing of it was applied: {e}")
            continue
        done += answer.apps
        refused += len(answer.refused)
        for one in answer.refused:
            say(f"app {one.app}: {one.detail}")
    return done, refused


def _sent(deploy: api.Service, packed: Packed, why: str, *, even_so: bool) -> _Answer:
    asked = {"by": os.environ.get("USER") or "cli", "why": why, "even_so": str(even_so).lower()}
    answer = deploy.send(
        f"/v1/bundles?{urlencode(asked)}",
        command_id=uuid.uuid4().hex,
        content=packed.raw,
        content_type=packed.packing.value,
    )
    return api.read(answer, _Answer, whose="deploy's")
