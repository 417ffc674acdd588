"""The log on a Kafka that may be busy: it is asked, and written to, for as long as that takes.

By itself the log gives up a question after 10 s, and what is still queued 5 s after a writer is
closed: right for a service, which tries again, and wrong for a test that asks once.
"""

from midstage.eventlog.kafka import KafkaLog
from tests.patient import ANSWER_WITHIN_S


def kafka_log(address: str, *, together: int | None = None) -> KafkaLog:
    """The log of the broker at this address, for a test."""
    return KafkaLog(
        bootstrap=address,
        client_id="test",
        ask_within_s=ANSWER_WITHIN_S,
        close_within_s=ANSWER_WITHIN_S,
        together=together,
    )
