"""The customers' keys, from the file that gateway's Envoy takes them from: key to customer.

It is read again whenever it has changed, so a key that is withdrawn ends at once. No key is ever
named in an error, and no file is a platform on which customers have no keys.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from midstage.chassis.keys import PrivateFile
from midstage.contracts.fact import Name
from midstage.contracts.requests import UNKNOWN_CUSTOMER


class _Named(msgspec.Struct):
    """A key that has a name too, which is nothing to stats."""

    customer: Name


_file = msgspec.json.Decoder(dict[str, Name | _Named])


def caller_keys(file: Path | None) -> Callable[[], Mapping[str, str]]:
    """Calling it gives the keys as they stand now; UnavailableError where they can't be read."""
    if file is None:
        return dict

    def unusable(_: Exception) -> str:
        return (
            f"the customers' keys in {file} can't be read; see that it is a JSON object "
            "of key and customer"
        )

    return PrivateFile(file, read=_known, unusable=unusable)


def _known(content: bytes) -> Mapping[str, str]:
    held = {
        key: of if isinstance(of, str) else of.customer for key, of in _file.decode(content).items()
    }
    return {key: customer for key, customer in held.items() if key and customer != UNKNOWN_CUSTOMER}
