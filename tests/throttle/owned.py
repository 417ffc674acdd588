"""Customers for whom another process counts."""

from midstage.contracts.spends import CustomersTaken


class Held:
    """All customers are another one's: of the first, and after one question of those who come."""

    def __init__(self, holder: CustomersTaken) -> None:
        self._holder = holder
        self.then: list[CustomersTaken | None] = []
        self._is_asked = False

    def answering(self, customer: str) -> CustomersTaken | None:
        del customer
        if self.then and self._is_asked:
            self._is_asked = False
            return self.then.pop(0)
        self._is_asked = bool(self.then)
        return self._holder
