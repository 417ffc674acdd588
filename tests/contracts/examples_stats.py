"""Examples for the golden files: the facts that stats writes of its ledger."""

from .examples import Decision, Events

EVENTS: Events = {}

DECISIONS: dict[str, Decision] = {}
