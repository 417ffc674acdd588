"""What becomes of a change in the secrets and configs that a spec names.

Replicas read them as they start, so another content means new replicas: the same spec in the next
generation. What was never seen before is noted before the first replica starts, so that no change
after it is missed. One that is not there restarts nothing: its replicas can't start, and say so.
"""

from collections.abc import Mapping

from midstage.contracts.apps import AppSpec
from midstage.deploy.model import Situation, Specified, TakeReferences


def taken(situation: Situation, current: Specified) -> TakeReferences | None:
    """What is to be told of them; None: nothing is new, or it has to wait for a paused rollout."""
    found = situation.references
    if not found or situation.state.is_paused:
        return None
    known = current.fact.references
    if all(known.get(name) == value for name, value in found.items()):
        return None
    return TakeReferences(
        app=situation.app, carries=current.version, references=found, at=situation.now
    )


def missing(situation: Situation) -> tuple[str, ...]:
    """The names of those that the spec has and the cluster has not; empty where that is unknown."""
    current, found = situation.state.current, situation.references
    if current is None or found is None:
        return ()
    return tuple(sorted(references_of(current.fact.spec) - found.keys()))


def changed(was: Mapping[str, str], found: Mapping[str, str]) -> tuple[str, ...]:
    """The names of those that are another than they were; one seen for the first time is not."""
    return tuple(sorted(name for name, now in found.items() if was.get(name, now) != now))


def references_of(spec: AppSpec) -> frozenset[str]:
    """The secrets and configs that the spec names, as ``secret/name`` and ``config/name``."""
    sources, volumes = spec.env_from.values(), spec.volumes
    secrets = [each.secret for each in sources] + [each.secret for each in volumes]
    configs = [each.config for each in sources] + [each.config for each in volumes]
    return frozenset(
        [f"secret/{name}" for name in secrets if name is not None]
        + [f"config/{name}" for name in configs if name is not None]
    )


def known_of(spec: AppSpec, references: Mapping[str, str]) -> dict[str, str]:
    """What is known of those references that ``spec`` has."""
    named = references_of(spec)
    return {name: value for name, value in references.items() if name in named}
