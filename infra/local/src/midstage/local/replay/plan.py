"""Who sends each arrival, and how: drawn from a seed, so two replays of one trace are the same.

Each arrival takes the same number of draws, so the first N requests do not depend on how many
follow. 60 % are streamed. Of these some callers leave in the middle, where ``LEAST_LEFT_S`` of the
answer is still to come: else both sides could rightly disagree on who was first.
"""

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from midstage.local.replay.customers import SHARES
from midstage.local.replay.trace import Arrival
from midstage.local.replica.service_time import PER_TOKEN_S

STREAMED = 0.6
LEAVE = 0.04
LEAST_LEFT_S = 0.75
"""Wall time by the replicas' service times."""
REF_DIGITS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One request to send ``at_s`` seconds of the trace's clock after the first.

    ``leaves_after`` is the number of tokens after which the caller goes, 0: it stays to the end.
    """

    ref: str
    at_s: float
    customer: str
    prompt_tokens: int
    max_tokens: int
    streamed: bool
    leaves_after: int


def plan(arrivals: Iterable[Arrival], *, run: str, seed: int, speed: float) -> Iterator[Planned]:
    """Every arrival with its customer and manner; refs are ``<run>-<number>`` from 1 on."""
    draw = random.Random(seed)
    names, shares = list(SHARES), list(SHARES.values())
    enough = math.ceil(LEAST_LEFT_S * speed / PER_TOKEN_S)
    for number, arrival in enumerate(arrivals, 1):
        customer = draw.choices(names, shares)[0]
        streamed, leaves, part = draw.random() < STREAMED, draw.random() < LEAVE, draw.random()
        after = int(arrival.max_tokens * (0.1 + 0.4 * part))
        leaves = leaves and streamed and arrival.max_tokens - after >= enough
        yield Planned(
            ref=ref_of(run, number),
            at_s=arrival.at_s,
            customer=customer,
            prompt_tokens=arrival.prompt_tokens,
            max_tokens=arrival.max_tokens,
            streamed=streamed,
            leaves_after=after if leaves else 0,
        )


def ref_of(run: str, number: int) -> str:
    """The caller's own number of a request; text order is number order."""
    return f"{run}-{number:0{REF_DIGITS}d}"
