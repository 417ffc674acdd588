"""librdkafka's errors as ours: what the shell must do about each, decided in one place.

A fatal client error is none of midstage's kinds: whoever meets it crashes and is restarted,
because a client in that state looks alive for ever and does nothing.
"""

from confluent_kafka import KafkaError, KafkaException

from midstage.contracts.errors import RefusedError, UnavailableError


class FatalClientError(Exception):
    """The Kafka client can't go on; the process must end and be started again."""


_REFUSED = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE})
_NEVER_WRITTEN = frozenset(
    {
        *_REFUSED,
        KafkaError._PURGE_QUEUE,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)


def meant(error: KafkaError, doing: str) -> Exception:
    """The exception to raise for ``error`` met while ``doing`` something."""
    if error.fatal() or error.code() == KafkaError._FATAL:
        return FatalClientError(f"{doing}: {error.str()}")
    if error.code() in _REFUSED:
        return RefusedError(f"{doing}: {error.str()}", status=413)
    return UnavailableError(f"{doing}: {error.str()}; is Kafka up and reachable?")


def of(exception: KafkaException) -> KafkaError:
    """The error inside librdkafka's exception."""
    error = exception.args[0]
    assert isinstance(error, KafkaError)
    return error


def never_written(error: KafkaError) -> bool:
    """Whether the message certainly does not stand in the log."""
    return error.code() in _NEVER_WRITTEN
