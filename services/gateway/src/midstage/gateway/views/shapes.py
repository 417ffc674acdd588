"""The pieces that every part of Envoy's configuration is made of."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from midstage.gateway.model.apps import Endpoint

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"
Object: TypeAlias = Mapping[str, Json]

_TYPES = "type.googleapis.com/"


def typed(message: str, **fields: Json) -> dict[str, Json]:
    """A ``google.protobuf.Any``: the message of that full name with these fields."""
    return {"@type": _TYPES + message, **fields}


def extension(name: str, message: str, **fields: Json) -> Object:
    """A named extension with its typed configuration."""
    return {"name": name, "typed_config": typed(message, **fields)}


def address(endpoint: Endpoint) -> Object:
    """A socket address."""
    return {"socket_address": {"address": endpoint.host, "port_value": endpoint.port}}


def watched(path: str) -> Object:
    """A configuration source: a file that Envoy reads again whenever it is replaced by a rename."""
    return {"path_config_source": {"path": path}, "resource_api_version": "V3"}


def discovery(version: str, resources: Sequence[Json]) -> Object:
    """What a watched file holds."""
    return {"version_info": version, "resources": resources}


def seconds(value: float) -> str:
    """A duration as protobuf's JSON writes it."""
    return f"{value:.3f}s"
