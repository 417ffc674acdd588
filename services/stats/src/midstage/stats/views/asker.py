"""Who asks: the operators, who may know everything, or one customer, who may know its own."""

from dataclasses import dataclass

from midstage.contracts.audit import CUSTOMER, OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """The operators, or one customer."""

    customer: str | None

    @property
    def name(self) -> str:
        """As the audit names it."""
        return OPERATOR if self.customer is None else f"{CUSTOMER}{self.customer}"
