"""Answers as JSON."""

import msgspec
from fastapi import Response

JSON = "application/json"


def as_json(answer: object) -> Response:
    """The answer as msgspec writes it."""
    return Response(msgspec.json.encode(answer), media_type=JSON)
