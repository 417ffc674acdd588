"""How counters outlive the process, as whoever counts by them sees it: room, parts, who counts."""

from collections.abc import Callable, Sequence
from typing import Protocol

from midstage.contracts.spends import CustomersTaken, Unanswered
from midstage.throttle.decide.kept import Lacking
from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.decide.spends import Stood
from midstage.throttle.model.limits import Key


class Waits(Protocol):
    """Who hears of the log, and of other processes."""

    def wait(
        self,
        lacking: Lacking,
        *,
        within_s: float,
        again: Callable[[], Lacking],
        over: Callable[[], None],
    ) -> bool:
        """Call ``again`` when there is more, until it lacks none, or ``over``; False: in vain."""
        ...


class Unanswering(Protocol):
    """What lost owners took for requests that they may not have answered."""

    def unanswered(self, request: str) -> Sequence[tuple[Key, Unanswered]]:
        """What was taken for the request, by counter."""
        ...

    def ended(self, request: str) -> None:
        """What was taken for it is settled."""
        ...


class Keeping(Waits, Unanswering, Protocol):
    """How counters outlive the process."""

    def open(self, account: LimitAccount, now_ns: int) -> None:
        """An account is new here, or its meter is."""
        ...

    def rest(self, accounts: Sequence[LimitAccount], now_ns: int) -> Sequence[bool]:
        """Which of them may be forgotten, as ``open`` has them go on as they are."""
        ...

    def resting(self) -> Sequence[Key]:
        """Those that were, and were not asked for since."""
        ...

    def clear(self, is_new: Callable[[Key, Stood], bool]) -> None:
        """Of the next that are kept, keep no longer those that equal new ones."""
        ...


class Owning(Protocol):
    """Who counts for whom."""

    @property
    def owner(self) -> str:
        """The name of this start of this process."""
        ...

    def holder(self, customer: str) -> CustomersTaken | None:
        """Who else counts for the customer; None where this process does."""
        ...
