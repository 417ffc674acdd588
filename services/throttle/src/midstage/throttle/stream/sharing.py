"""The customers that this process counts for: asked for at its start, kept even, left at its end.

There is no coordinator. Each process follows ``decide.sharing`` by what the log says of holders,
and the log's epochs settle what two of them want at once. Who lives leaves to others what they ask
for, in order; who does not in time is taken from. Who is taken for gone and is not takes its share
again, but each time later: so a slow process and an impatient one come to rest.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

from midstage.chassis.logs import logger
from midstage.contracts.spends import CustomersTaken
from midstage.throttle.decide.sharing import divided, handed, wanted
from midstage.throttle.metrics import Metrics
from midstage.throttle.stream.handing import Handing
from midstage.throttle.stream.holdings import Holdings, is_new, taker

TURN_S: Final = 0.1
LEAVES_WITHIN_S: Final = 4.0
"""What is left is read back in milliseconds; a log that is away is not waited for longer."""
HANDED_WITHIN_S: Final = 10.0
"""What is asked for is left by then, or taken: its holder may be a version that knows no asking."""
ASKED_TIMES: Final = 3
PATIENCE_S: Final = 10.0
"""Who was taken from takes nothing for so long, and twice as long each time."""
MOST_PATIENCE_S: Final = 640.0
_READ_AGAIN_S: Final = 0.01

_log = logger(__name__)


class Spends(Protocol):
    """The log of counters."""

    holdings: Holdings

    @property
    def partitions(self) -> range:
        """Of the log."""
        ...

    def closed(self) -> str | None:
        """Why it is not known who counts for whom."""
        ...

    def assign(self, to: Mapping[int, CustomersTaken]) -> None:
        """Have these count from now on."""
        ...

    def want(self, partition: int) -> None:
        """Ask who holds it to leave it to this process."""
        ...


class Sharing:
    """A chassis AsyncLoop; it is to be the first that stops, while the others still answer."""

    name = "sharing"

    def __init__(
        self,
        *,
        spends: Spends,
        handing: Handing,
        closed: Callable[[], str | None],
        answers: Callable[[CustomersTaken], Awaitable[bool]],
        monotonic: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        """Takes nothing while this process is ``closed``; ``answers`` asks whether one is there."""
        self._spends = spends
        self._handing = handing
        self._closed = closed
        self._answers = answers
        self._monotonic = monotonic
        self._metrics = metrics
        self._held: frozenset[int] = frozenset()
        self._patience_s = PATIENCE_S
        self._lost_at: float | None = None
        self._taken_at = -MOST_PATIENCE_S
        self._left: set[tuple[int, int | None]] = set()
        self._asked: dict[int, tuple[int, float]] = {}
        self._has_share = self._is_leaving = False

    def counting(self) -> str | None:
        """Readiness: None once this process has had its share of the customers."""
        return None if self._has_share else "the share of the customers is being taken"

    async def run(self, stop: asyncio.Event) -> None:
        """Take a share, keep it even until ``stop``, and leave it to the others."""
        joined = False
        while not stop.is_set():
            if self._closed() is None and self._spends.closed() is None:
                if not joined:
                    joined = True
                    await self._join()
                self.turn()
                await self.hand_over()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), TURN_S)
        self._is_leaving = True
        await self._end()

    def turn(self) -> None:
        """One step towards even shares; none before the log says what became of the last one."""
        holdings = self._spends.holdings
        mine = holdings.mine()
        self._metrics.partitions.set(len(mine))
        if self._held - mine:
            self._lost()
        self._held = mine
        if self._spends.closed() is not None or not holdings.is_settled():
            return
        free = [number for number in self._spends.partitions if holdings.is_free(number)]
        if free:
            self._divide(free, gone=holdings.leavers())
            return
        names = {number: each.owner for number, each in holdings.holders().items()}
        mine_next = wanted(names, holdings.me.owner)
        self._asked = {each: self._asked[each] for each in mine_next if each in self._asked}
        if mine_next and self._may_take():
            self._ask_for(mine_next)
        self._has_share = self._has_share or not mine_next

    async def hand_over(self) -> None:
        """Leave in order what others ask for, as far as that is evener and they are there."""
        holdings = self._spends.holdings
        wanting = holdings.wanted()
        if not wanting or not holdings.is_settled():
            return
        named = {each.owner: taker(each) for some in wanting.values() for each in some}
        for name in [name for name, each in named.items() if not await self._is_there(each)]:
            holdings.unwanted(name)
        names = {number: each.owner for number, each in holdings.holders().items()}
        wanted_by = {n: {e.owner for e in some} & {*named} for n, some in holdings.wanted().items()}
        given = handed({n: some for n, some in wanted_by.items() if some}, names)
        if given:
            await self._handing.over({number: named[name] for number, name in given.items()})
            self._held = holdings.mine()
            self._metrics.handed_over.inc(len(given))

    def gone(self, holder: CustomersTaken) -> None:
        """It does not answer: what it held is divided among all others that are known."""
        holdings = self._spends.holdings
        known = holdings.holder(holder.partition)
        if self._spends.closed() is not None or is_new(known, holder):
            return
        lost = [n for n, each in holdings.holders().items() if each.owner == holder.owner]
        _log.info("owner_gone", owner=holder.owner, partitions=lost)
        self._divide(lost, gone=holdings.leavers() | {holder.owner})

    async def _join(self) -> None:
        """Who was at this address before is no more; nor is who of the others does not answer."""
        holdings = self._spends.holdings
        others = {each.owner: each for each in holdings.holders().values()}
        others.pop(holdings.me.owner, None)
        gone = {name for name, each in others.items() if each.address == holdings.me.address}
        asked = [each for name, each in others.items() if name not in gone]
        answers = await asyncio.gather(*[self._is_there(each) for each in asked])
        gone |= {each.owner for each, there in zip(asked, answers, strict=True) if not there}
        free = [n for n, each in holdings.holders().items() if each.owner in gone]
        self._divide(free, gone=gone | holdings.leavers())

    async def _is_there(self, other: CustomersTaken) -> bool:
        """One that is slow once is no reason to move anything."""
        for _ in range(ASKED_TIMES):
            if await self._answers(other):
                return True
        return False

    def _divide(self, free: Collection[int], *, gone: Collection[str]) -> None:
        holdings = self._spends.holdings
        holders = holdings.holders()
        known = {each.owner: each for each in holders.values() if each.owner not in gone}
        known.pop(holdings.me.owner, None)
        if not self._is_leaving:
            known[holdings.me.owner] = holdings.me
        names = {number: each.owner for number, each in holders.items()}
        given = divided(free, names, sorted(known))
        self._assign({number: known[name] for number, name in given.items()})

    def _ask_for(self, numbers: Sequence[int]) -> None:
        """Of who holds them; what is not left in time is taken."""
        now_s = self._monotonic()
        holdings = self._spends.holdings
        late: list[int] = []
        for number in numbers:
            epoch = holdings.holders()[number].epoch
            asked, since_s = self._asked.get(number, (0, now_s))
            if asked != epoch:
                self._asked[number] = (epoch, now_s)
                self._spends.want(number)
            elif now_s - since_s >= HANDED_WITHIN_S:
                late.append(number)
        self._assign(dict.fromkeys(late, holdings.me))

    def _assign(self, to: Mapping[int, CustomersTaken]) -> None:
        if to:
            self._metrics.takings.inc(len(to))
            self._spends.assign(to)

    def _may_take(self) -> bool:
        if self._lost_at is None:
            return True
        if self._monotonic() - self._lost_at < self._patience_s:
            return False
        self._lost_at, self._taken_at = None, self._monotonic()
        self._patience_s = min(2 * self._patience_s, MOST_PATIENCE_S)
        return True

    def _lost(self) -> None:
        self._lost_at = self._monotonic()
        if self._lost_at - self._taken_at > MOST_PATIENCE_S:
            self._patience_s = PATIENCE_S

    async def _end(self) -> None:
        """All is left, and what others name this process for meanwhile too, for a while."""
        holdings = self._spends.holdings
        until = self._monotonic() + LEAVES_WITHIN_S
        while self._monotonic() < until:
            await asyncio.sleep(_READ_AGAIN_S)
            if self._spends.closed() is not None:
                continue  # there is something to hear, or the log is away
            mine = holdings.mine()
            todo = {n for n in mine if (n, holdings.epoch(n)) not in self._left}
            if todo:
                await self._leave(todo)
            elif not mine and holdings.is_settled():
                return

    async def _leave(self, mine: Collection[int]) -> None:
        holdings = self._spends.holdings
        self._left.update((number, holdings.epoch(number)) for number in mine)
        names = {number: each.owner for number, each in holdings.holders().items()}
        gone = holdings.leavers() | {holdings.me.owner}
        known = {e.owner: e for e in holdings.holders().values() if e.owner not in gone}
        given = divided(mine, names, sorted(known))
        to = {number: known[given[number]] if number in given else None for number in mine}
        await self._handing.left(to)
        self._metrics.handed_over.inc(len(to))
