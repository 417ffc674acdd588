"""Specs that deploy writes though nobody asks: a failed rollout undone, a restart for a reference.

Each is decided on the spec that it was seen of, so that several deploys do it once, and an undo is
never undone by itself.
"""

from typing import assert_never

from midstage.contracts.apps import AppFact, AppSpecified, revision_of
from midstage.deploy.decide.references import changed, known_of
from midstage.deploy.model import App, Specified, TakeReferences, UndoFailed

BY_ITSELF = "deploy"
"""Who undid and restarted where nobody asked."""


def by_itself(app: App, seen: UndoFailed | TakeReferences) -> tuple[AppFact, ...]:
    """One fact, or none where another spec holds meanwhile."""
    match seen:
        case UndoFailed():
            return _undone(app, seen)
        case TakeReferences():
            return _referred(app, seen)
        case _:
            assert_never(seen)


def last_complete(app: App) -> Specified | None:
    """The newest spec of another revision than the one that holds that all replicas once ran."""
    current = app.current
    for entry in reversed(app.history):
        other = current is not None and entry.fact.revision != current.fact.revision
        if other and entry.complete and entry.version > app.since:
            return entry
    return None


def next_generation(app: App) -> int:
    """One that no spec of the application's life has had."""
    return 1 + max(entry.fact.generation for entry in app.history)


def _undone(app: App, seen: UndoFailed) -> tuple[AppFact, ...]:
    """Nothing where the spec is not the failed one any more, or is an undo itself."""
    current, back = app.current, last_complete(app)
    if current is None or current.version != seen.carries or current.fact.undoes or not back:
        return ()
    return (
        AppSpecified(
            app=seen.app,
            spec=back.fact.spec,
            revision=back.fact.revision,
            generation=back.fact.generation,
            references=known_of(back.fact.spec, current.fact.references),
            by=BY_ITSELF,
            why=f"revision {current.fact.revision} failed: {seen.reason}",
            undoes=current.fact.revision,
            at=seen.at,
        ),
    )


def _referred(app: App, seen: TakeReferences) -> tuple[AppFact, ...]:
    current = app.current
    if current is None or current.version != seen.carries:
        return ()
    fact = current.fact
    references = {**fact.references, **seen.references}
    if references == fact.references:
        return ()
    other = changed(fact.references, seen.references)
    generation = next_generation(app) if other else fact.generation
    return (
        AppSpecified(
            app=seen.app,
            spec=fact.spec,
            revision=revision_of(fact.spec, generation),
            generation=generation,
            references=references,
            by=BY_ITSELF,
            why=f"changed: {', '.join(other)}" if other else "its references are known now",
            undoes="" if other else fact.undoes,
            at=seen.at,
        ),
    )
