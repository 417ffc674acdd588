"""How OpenAPI describes ``POST /v1/events``: what it takes, and each answer of its own."""

from midstage.chassis import problems
from midstage.stats.api.answered import JSON
from midstage.stats.api.encodings import BODY_BYTES
from midstage.stats.views.ingest import MOST_EVENTS, State

ONE = "application/cloudevents+json"
MANY = "application/cloudevents-batch+json"

_EVENT: dict[str, object] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "time", "data"],
    "properties": {
        "specversion": {"type": "string", "enum": ["1.0"]},
        "id": {"type": "string", "minLength": 1, "maxLength": 256},
        "source": {"type": "string", "minLength": 1, "maxLength": 256},
        "type": {"type": "string"},
        "time": {"type": "string", "format": "date-time"},
        "data": {"type": "object"},
    },
}
_EVENTS: dict[str, object] = {"type": "array", "items": _EVENT}
BODY: dict[str, object] = {
    "requestBody": {
        "required": True,
        "description": f"CloudEvents 1.0, at most {BODY_BYTES} bytes, also as gzip or zstd.",
        "content": {
            ONE: {"schema": _EVENT},
            MANY: {"schema": _EVENTS},
            JSON: {"schema": {"oneOf": [_EVENT, _EVENTS]}},
        },
    },
}
_COUNT: dict[str, object] = {"type": "integer", "minimum": 0}
_RECEIPT: dict[str, object] = {
    "type": "object",
    "required": ["accepted", "known", "refused", "unsure", "events"],
    "properties": {
        "accepted": {**_COUNT, "description": "In the log for good."},
        "known": {**_COUNT, "description": "Likewise, and in the ledger when it was asked."},
        "refused": _COUNT,
        "unsure": {
            **_COUNT,
            "description": "Of the accepted ones: whether the ledger had them is not known.",
        },
        "events": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "state"],
                "properties": {
                    "index": _COUNT,
                    "state": {"type": "string", "enum": [*State]},
                    "id": {"type": "string", "description": "Not of a refused one."},
                    "pointer": {"type": "string", "description": "Where a refused one is wrong."},
                    "detail": {
                        "type": "string",
                        "description": "Why it is refused; or that the shard which counts an "
                        "accepted one was not there to say whether it had it.",
                    },
                },
            },
        },
    },
}
_FAULTS: dict[str, object] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "index": {**_COUNT, "description": "Of the event; absent: the body itself."},
                    "pointer": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
RESPONSES: dict[int | str, dict[str, object]] = {
    204: {"description": "Kafka has acknowledged every event."},
    200: {
        "description": "With detail: what became of each event.",
        "content": {JSON: {"schema": _RECEIPT}},
    },
    400: {
        "description": "An event or the body is wrong, and nothing was taken.",
        "content": {problems.MEDIA_TYPE: {"schema": _FAULTS}},
    },
    413: {
        "description": f"More than {BODY_BYTES} bytes, decompressed or not, or more than "
        f"{MOST_EVENTS} events: nothing is wrong with them and nothing was taken; send less at "
        "once.",
        "content": {problems.MEDIA_TYPE: {"schema": _FAULTS}},
    },
}
