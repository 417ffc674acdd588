"""Commands against one versioned log: decided, appended together, and answered after the read-back.

Of a command that another replica forestalled the fold says so, and it is decided again on the new
state. What becomes of one command changes nothing for the others. Any number of threads.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.eventlog.append import Appender, Attempt
from midstage.eventlog.appended import Answer, Command, command
from midstage.eventlog.fold import Fold, Outcome, Verdict
from midstage.eventlog.follow import Follower

S = TypeVar("S")
F = TypeVar("F")

_TRIES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution(Generic[S, F]):
    """A command to be executed; ``payload`` tells a repeated one from a reused id.

    ``decide`` may run several times, on newer states; without facts nothing is appended.

    ``epoch``: it counts only while the key's partition is held in that one.
    """

    key: str
    command_id: str
    payload: bytes
    decide: Callable[[S], Sequence[F]]
    epoch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent(Generic[F]):
    attempt: Attempt
    answer: Answer[F]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Nothing(Generic[F]):
    """Refused, or nothing to do, as of the state at this version."""

    key: str
    version: int
    answer: Answer[F] | RefusedError


class Executor(Generic[S, F]):
    """Executes on what the follower has folded, through the appender."""

    def __init__(
        self,
        *,
        fold: Fold[S, F],
        follower: Follower[S, F],
        appender: Appender,
        now: Callable[[], datetime],
        within_s: float,
    ) -> None:
        """``within_s``: how long each step is waited for."""
        self._fold = fold
        self._follower = follower
        self._changed = follower.changed
        self._appender = appender
        self._now = now
        self._within_s = within_s

    def execute_all(
        self, executions: Iterable[Execution[S, F]]
    ) -> Sequence[Answer[F] | RefusedError | UnavailableError]:
        """See ``Versions.execute_all``."""
        try:
            self._follower.wait_until_current(self._within_s)
        except UnavailableError as e:
            return [e for _ in executions]
        tried = self._tried(executions)
        for _ in range(_TRIES - 1):
            late = [number for number, (_, answer) in enumerate(tried) if answer is None]
            if not late:
                break
            for number, again in zip(late, self._tried(tried[n][0] for n in late), strict=True):
                tried[number] = again
        return [_faster(each.key) if answer is None else answer for each, answer in tried]

    def _tried(
        self, executions: Iterable[Execution[S, F]]
    ) -> list[tuple[Execution[S, F], Answer[F] | RefusedError | UnavailableError | None]]:
        """One try of each; None when another replica was first."""
        begun = [(each, self._begun(each)) for each in executions]
        self._appender.wait([each.attempt for _, each in begun if isinstance(each, _Sent)])
        unread = self._unread({each.key for _, each in begun if isinstance(each, _Nothing)})
        return [(execution, self._ended(each, unread)) for execution, each in begun]

    def _begun(
        self, execution: Execution[S, F]
    ) -> _Sent[F] | _Nothing[F] | Answer[F] | RefusedError | UnavailableError:
        try:
            by = command(
                key=execution.key, command_id=execution.command_id, payload=execution.payload
            )
            return self._decided(by, execution)
        except (RefusedError, UnavailableError) as e:
            return e

    def _decided(
        self, by: Command, execution: Execution[S, F]
    ) -> _Sent[F] | _Nothing[F] | Answer[F]:
        with self._changed:  # what is known and the state to decide on: of one moment
            known = self._fold.outcome(by.id, now=self._now())
            version, state = self._fold.state(by.key)
            stuck = self._fold.stuck.get(by.key)
            taken = self._fold.taken(self._follower.number_of(by.key))
        if known is not None:
            return _repeated(known, by)
        if stuck is not None:
            raise UnavailableError(f"{by.key} has a fact that is not known here: {stuck}")
        epoch = execution.epoch
        if epoch is not None and (taken is None or taken.epoch != epoch):
            raise RefusedError(f"{by.key} is decided by another process now", status=409)
        try:
            facts = tuple(execution.decide(state))
        except RefusedError as e:
            return _Nothing(key=by.key, version=version, answer=e)
        made = version + 1 if facts else version
        answer = Answer(key=by.key, version=made, command_id=by.id, facts=facts, repeated=False)
        if not facts:
            return _Nothing(key=by.key, version=version, answer=answer)
        attempt = self._appender.append(by, version=made, facts=facts, epoch=epoch)
        return _Sent(attempt=attempt, answer=answer)

    def _unread(self, keys: Collection[str]) -> UnavailableError | None:
        """Wait until all of their records are folded; why that did not come about."""
        try:
            if keys:
                self._follower.wait_for_all_of(keys, self._within_s)
        except UnavailableError as e:
            return e
        return None

    def _ended(
        self,
        begun: _Sent[F] | _Nothing[F] | Answer[F] | RefusedError | UnavailableError,
        unread: UnavailableError | None,
    ) -> Answer[F] | RefusedError | UnavailableError | None:
        match begun:
            case _Sent(attempt=attempt, answer=answer):
                try:
                    return answer if attempt.outcome() is Verdict.ACCEPTED else None
                except UnavailableError as e:
                    return e
            case _Nothing(key=key, version=version, answer=answer):
                # nobody appended meanwhile: nothing is said of an old state
                return unread or (answer if self._version(key) == version else None)
            case _:
                return begun

    def _version(self, key: str) -> int:
        with self._changed:
            return self._fold.state(key)[0]


def _faster(key: str) -> UnavailableError:
    return UnavailableError(f"{key} changes faster than it can be decided; try again")


def _repeated(known: Outcome[F], by: Command) -> Answer[F]:
    if known.command_hash != by.hash:
        raise RefusedError(
            f"command id {by.id!r} was used for another command; take a new one", status=409
        )
    return known.answer
