"""Room that was taken of a limit, and who counts for the customers of a partition."""

from datetime import timedelta

from midstage.contracts.fact import Event
from midstage.contracts.spends import CUSTOMERS_TAKEN, ROOM_TAKEN, CustomersTaken, RoomTaken
from midstage.contracts.topics import SPENDS

from .examples import NOON, Events

OWNER = "throttle/7f3a"
EVENTS: Events = {
    "customers-taken": (
        SPENDS,
        Event(
            id=f"{OWNER}/1",
            source=OWNER,
            type=CUSTOMERS_TAKEN,
            time=NOON,
            data=CustomersTaken(
                partition=3, owner=OWNER, epoch=7, address="10.0.0.7:8081", at=NOON
            ),
        ),
    ),
    "customers-held": (
        SPENDS,
        Event(
            id=f"{OWNER}/3",
            source=OWNER,
            type=CUSTOMERS_TAKEN,
            time=NOON,
            data=CustomersTaken(
                partition=3,
                owner=OWNER,
                epoch=7,
                address="10.0.0.7:8081",
                implied_until=NOON + timedelta(seconds=6),
                at=NOON,
            ),
        ),
    ),
    "room-taken": (
        SPENDS,
        Event(
            id=f"{OWNER}/2",
            source=OWNER,
            type=ROOM_TAKEN,
            time=NOON,
            data=RoomTaken(
                limit="acme-chat",
                customer="acme",
                units=20,
                algorithm="token-bucket",
                standing=(
                    "80000000000000000",
                    "1767268800500000000",
                    "50000000",
                    "100000000000000000",
                ),
                owner=OWNER,
                epoch=7,
                at=NOON,
            ),
        ),
    ),
}
