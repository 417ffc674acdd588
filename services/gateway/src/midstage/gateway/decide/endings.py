"""Envoy's response flags, one by one, as the end that the caller saw.

Envoy names why a request ended with short flags (its documentation: %RESPONSE_FLAGS%) and whose
answer it was with the details (%RESPONSE_CODE_DETAILS%; ``via_upstream``: the replica's own).
"""

from midstage.gateway.model.endings import Ending

VIA_REPLICA = "via_upstream"

_CALLER_LEFT = frozenset(
    {
        "DC",  # the caller's connection went
        "DR",  # the caller reset its stream
    }
)
_BROKE_OFF = frozenset(
    {
        "LH",  # the health check had failed already
        "UH",  # no healthy replica
        "UT",  # the application's timeout
        "LR",  # Envoy reset the replica's stream
        "UR",  # the replica reset it
        "UF",  # no connection to a replica
        "UC",  # the replica's connection went
        "UO",  # a circuit breaker
        "UPE",  # the replica does not speak HTTP
        "UMSDR",  # the longest duration of a stream
        "DT",  # the longest duration of a request
        "URX",  # all tries are used up
        "SI",  # nothing came for the idle time
        "DF",  # a replica's name could not be resolved
        "NC",  # the application's cluster is gone
        "NFCF",  # a filter has no configuration
        "OM",  # Envoy protects itself
        "DO",  # told to drop load
        "FI",  # a fault on purpose
        "RLSE",  # throttle did not answer, and the limit fails closed
    }
)
_CALLERS_FAULT = frozenset(
    {
        "DPE",  # the caller broke the protocol
        "IH",  # a header that Envoy refuses
    }
)


def ending(*, status: int, flags: str, details: str) -> Ending:
    """The end of one request; flags that are not known say nothing, the status then decides.

    A caller that breaks the protocol before it was refused with a 4xx has left, to all intents.
    """
    named = frozenset(flags.split(","))
    refused = 400 <= status < 500
    caller_left = bool(named & _CALLER_LEFT) or (bool(named & _CALLERS_FAULT) and not refused)
    broke_off = bool(named & _BROKE_OFF) and not (named == {"SI"} and refused)
    return Ending(by_gateway=details != VIA_REPLICA, broke_off=broke_off, caller_left=caller_left)
