"""Who else has set fields of a workload, and which: told from the owners Kubernetes keeps. Pure.

Fields under ``spec`` are midstage's; only its two managers and Kubernetes' own controllers belong
there. A field that midstage owns as well is no drift, whoever owns it beside: both want the same.
"""

from collections.abc import Sequence

import msgspec

from midstage.cluster.kubernetes.ownership import readable, strangers
from midstage.cluster.kubernetes.shapes import Managed

_MOST = 50


def drift_of(managed: Sequence[Managed] | None) -> tuple[str, ...]:
    """Each field that somebody else has set alone, as ``manager: path``, sorted, the first 50."""
    try:
        found = strangers(managed or ())
    except msgspec.MsgspecError:
        return ("unknown: spec",)  # owners are told in a form that is not known: nobody can say
    return tuple(sorted({f"{who}: {readable(path)}" for path, who in found.items()})[:_MOST])
