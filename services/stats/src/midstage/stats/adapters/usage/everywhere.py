"""The parts of all shards at once: this one's from its ledger, the others' over HTTP.

One that does not answer is UnavailableError: what it holds is unknown, not nothing.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from midstage.stats.adapters.usage.reading import UsageBooks
from midstage.stats.views.usage.parts import Part, Wished
from midstage.stats.views.usage.question import Question


class Far(Protocol):
    """Another shard."""

    def usage(self, wished: Wished) -> Part:
        """Its part of the answer; UnavailableError where it does not answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AllShards:
    """This shard's ledger and the other shards."""

    own: UsageBooks
    far: Sequence[Far]

    def parts(
        self, question: Question, *, versions: Mapping[int, int] | None, now: datetime
    ) -> Sequence[Part]:
        """Each shard's part, of those versions where they are given."""
        if not self.far:
            return self.own.parts(question, versions=versions, now=now)
        wished = Wished(question=question, versions=versions)
        with ThreadPoolExecutor(len(self.far)) as threads:
            others = [threads.submit(far.usage, wished) for far in self.far]
            own = self.own.part(question, versions=versions, now=now)
            return [own, *(other.result() for other in others)]
