"""How long a generation takes: a deterministic function of its prompt, its answer and the speed.

TTFT = 60 ms + 0.024 ms for each prompt token, then 28 ms for each further token. That is about
what Splitwise (Patel et al., ISCA 2024: the paper that published the traces of the replay) reports
for Llama-70B on one H100 machine: 84 ms at 1,020 prompt tokens, 95 ms at 1,500, 28 ms a token.
Batching does not slow it: a replica has slots instead. The speed divides these times, no others.
"""

import math
from dataclasses import dataclass

FIRST_TOKEN_S = 0.060
PER_PROMPT_TOKEN_S = 0.000_024
PER_TOKEN_S = 0.028
WRITE_EVERY_S = 0.015
"""Tokens that fall due within this time leave in one write: wall time, not divided by the speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTime:
    """The times of one replica; ``speed`` 1 is real time, 4 is four times as fast."""

    speed: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a speed that is not a positive number."""
        if not (self.speed > 0 and math.isfinite(self.speed)):
            raise ValueError(f"speed {self.speed} is not a positive number")

    def scaled(self, seconds: float) -> float:
        """A time of the model, such as a cold start, in seconds of the wall clock."""
        return seconds / self.speed

    def first_token_s(self, prompt_tokens: int) -> float:
        """From the slot to the first token."""
        return self.scaled(FIRST_TOKEN_S + PER_PROMPT_TOKEN_S * prompt_tokens)

    def due_s(self, prompt_tokens: int, token: int) -> float:
        """From the slot to token number ``token`` (from 1 on)."""
        return self.first_token_s(prompt_tokens) + (token - 1) * self.scaled(PER_TOKEN_S)

    def due(self, prompt_tokens: int, elapsed_s: float) -> int:
        """How many tokens are due ``elapsed_s`` after the slot was taken."""
        since_first = elapsed_s - self.first_token_s(prompt_tokens)
        if since_first < 0:
            return 0
        return 1 + math.floor(since_first / self.scaled(PER_TOKEN_S) + 1e-9)

    @property
    def tokens_a_write(self) -> int:
        """How many tokens wait for each other, so that thousands a second cost few writes."""
        return max(1, math.floor(WRITE_EVERY_S / self.scaled(PER_TOKEN_S)))
