"""A Keeping for where nothing outlives the process."""

from collections.abc import Callable, Sequence

from midstage.contracts.spends import Unanswered
from midstage.throttle.decide.kept import Lacking
from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.decide.spends import Stood
from midstage.throttle.model.limits import Key


class Unkept:
    """Counters that are lost with the process: nothing is written, no room is needed."""

    def open(self, account: LimitAccount, now_ns: int) -> None:
        """Nothing was used before."""

    def rest(self, accounts: Sequence[LimitAccount], now_ns: int) -> Sequence[bool]:
        """None: nothing else has what they count."""
        del now_ns
        return [False] * len(accounts)

    def resting(self) -> Sequence[Key]:
        """None."""
        return ()

    def clear(self, is_new: Callable[[Key, Stood], bool]) -> None:
        """There are none in the log."""

    def wait(self, lacking: Lacking, **_: object) -> bool:
        """In vain."""
        del lacking
        return False

    def unanswered(self, request: str) -> Sequence[tuple[Key, Unanswered]]:
        """Of those before us nothing is known."""
        del request
        return ()

    def ended(self, request: str) -> None:
        """Nobody was awaited."""
