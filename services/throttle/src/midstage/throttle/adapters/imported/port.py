"""Answers ``RateLimitRequest`` by the rules in force; belongs to the event loop of the port.

A question is judged and counted in one step without an ``await``, as native ones are. Where no
rules could be read so far, and where there is no room for a counter, a question has an error for
an answer: Envoy's own failure mode decides then, as it does with that product.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from google.protobuf.message import DecodeError

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.throttle.adapters.http2.calls import CallError
from midstage.throttle.adapters.http2.calls import Status as Code
from midstage.throttle.adapters.imported.protocol import (
    RateLimitRequest,
    Telling,
    request_of,
    response,
)
from midstage.throttle.decide.imported.asking import Asked, asked
from midstage.throttle.decide.imported.book import Book
from midstage.throttle.decide.imported.counting import Counters
from midstage.throttle.metrics import RuleMetrics

SWEPT_EACH_S: Final = 0.05
SWEPT: Final = 2_000
"""Counters forgotten at once: 40,000 a second, more than questions can make."""
KNOWN: Final = 4_096
LONGEST_KNOWN: Final = 1_024
"""So many questions are remembered, as callers ask the same again: at most 4 MiB of their bytes."""


class Imported:
    """Answers by ``book``, and counts in ``counters``."""

    name = "counters"

    def __init__(
        self,
        *,
        book: Book,
        counters: Counters,
        metrics: RuleMetrics,
        now_s: Callable[[], float],
        telling: Telling,
    ) -> None:
        """``now_s`` is the time of day: windows are aligned to the epoch."""
        self._book = book
        self._counters = counters
        self._metrics = metrics
        self._now_s = now_s
        self._telling = telling
        self._domains = book.domains
        self._known: dict[bytes, tuple[Any, Asked]] = {}

    @property
    def known(self) -> int:
        """How many questions are remembered."""
        return len(self._known)

    def answer(self, question: bytes) -> bytes | None:
        """The serialized ``RateLimitResponse``, CallError where there is none.

        None for a question of a domain that is reserved.
        """
        domains = self._book.domains
        if domains is not self._domains:
            self._known.clear()
            self._domains = domains
        known = self._known.get(question)
        try:
            message, asking = known or self._understood(question)
            if asking is None:
                return None
            answer = self._counters.judged(asking, int(self._now_s()))
        except RefusedError as e:
            raise self._failed(Code.INVALID_ARGUMENT, str(e)) from e
        except UnavailableError as e:
            raise self._failed(Code.RESOURCE_EXHAUSTED, str(e)) from e
        self._metrics.answered(over=answer.over, known=asking.request.domain in domains)
        return bytes(response(answer, message, asking.request, self._telling).SerializeToString())

    async def run(self, stop: asyncio.Event) -> None:
        """Forget the counters of windows that are over, until ``stop``."""
        while not stop.is_set():
            self._counters.sweep(int(self._now_s()), most=SWEPT)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), SWEPT_EACH_S)

    def _understood(self, question: bytes) -> tuple[Any, Asked | None]:
        """The message, and what it comes to by the rules; None where it is not for them."""
        try:
            message = RateLimitRequest.FromString(question)
        except DecodeError as e:
            raise self._failed(Code.INVALID_ARGUMENT, "not a RateLimitRequest") from e
        if message.domain in self._book.reserved:
            return message, None
        if not self._book.loaded:
            raise self._failed(Code.UNAVAILABLE, f"no rules are loaded: {self._book.refused}")
        asking = asked(self._domains, request_of(message))
        if len(question) <= LONGEST_KNOWN:
            if len(self._known) >= KNOWN:
                del self._known[next(iter(self._known))]
            self._known[question] = message, asking
        return message, asking

    def _failed(self, code: Code, words: str) -> CallError:
        self._metrics.failed.inc()
        return CallError(code, words)
