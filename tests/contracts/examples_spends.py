"""Room that was taken of a limit, and who counts for the customers of a partition."""

from datetime import timedelta

from midstage.contracts.fact import Event
from midstage.contracts.spends import (
    CUSTOMERS_LEFT,
    CUSTOMERS_TAKEN,
    CUSTOMERS_WANTED,
    RESERVATIONS_LEFT,
    ROOM_TAKEN,
    CustomersLeft,
    CustomersTaken,
    CustomersWanted,
    OpenReservation,
    ReservationsLeft,
    Reserved,
    RoomTaken,
    SettledRequest,
    Unanswered,
)
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
    "customers-taken-full": (
        SPENDS,
        Event(
            id=f"{OWNER}/3",
            source=OWNER,
            type=CUSTOMERS_TAKEN,
            time=NOON,
            data=CustomersTaken(
                partition=3,
                owner="throttle/81c2",
                epoch=8,
                address="10.0.0.8:8081",
                http_address="10.0.0.8:8082",
                implied_until=NOON + timedelta(seconds=6),
                at=NOON,
            ),
        ),
    ),
    "reservations-left": (
        SPENDS,
        Event(
            id=f"{OWNER}/5",
            source=OWNER,
            type=RESERVATIONS_LEFT,
            time=NOON,
            data=ReservationsLeft(
                partition=3,
                owner=OWNER,
                epoch=7,
                part=0,
                reservations=(
                    OpenReservation(
                        request="7f3a-41",
                        customer="acme",
                        taken_ns=1_767_268_800_000_000_000,
                        until_ns=1_767_272_400_000_000_000,
                        of=(Reserved(limit="acme-tokens", key="ci", units=500),),
                    ),
                ),
                settled=(
                    SettledRequest(
                        request="7f3a-40", customer="acme", until_ns=1_767_269_100_000_000_000
                    ),
                ),
                at=NOON,
            ),
        ),
    ),
    "customers-left": (
        SPENDS,
        Event(
            id=f"{OWNER}/4",
            source=OWNER,
            type=CUSTOMERS_LEFT,
            time=NOON,
            data=CustomersLeft(partition=3, owner=OWNER, epoch=7, at=NOON),
        ),
    ),
    "customers-wanted": (
        SPENDS,
        Event(
            id="throttle/81c2/1",
            source="throttle/81c2",
            type=CUSTOMERS_WANTED,
            time=NOON,
            data=CustomersWanted(
                partition=3,
                owner="throttle/81c2",
                epoch=7,
                address="10.0.0.8:8081",
                http_address="10.0.0.8:8082",
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
    "room-taken-strict": (
        SPENDS,
        Event(
            id=f"{OWNER}/3",
            source=OWNER,
            type=ROOM_TAKEN,
            time=NOON,
            data=RoomTaken(
                limit="acme-budget",
                customer="acme",
                units=0,
                algorithm="lifetime of requests",
                standing=("41",),
                owner=OWNER,
                epoch=7,
                at=NOON,
                unanswered=(
                    Unanswered(request="7f0c-93ab", units=1, taken_ns=1_767_268_800_123_456_000),
                ),
            ),
        ),
    ),
}
