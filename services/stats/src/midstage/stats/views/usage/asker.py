"""Who asks, and what of a question that one may be told: a customer its own usage alone."""

from dataclasses import dataclass, replace

from midstage.contracts.audit import CUSTOMER, OPERATOR
from midstage.contracts.errors import RefusedError
from midstage.stats.views.usage.parts import Standing
from midstage.stats.views.usage.question import Dimension, Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """The operators, or one customer."""

    customer: str | None

    @property
    def name(self) -> str:
        """As the audit names it."""
        return OPERATOR if self.customer is None else f"{CUSTOMER}{self.customer}"


def allowed(question: Question, asker: Asker) -> Question:
    """The question narrowed to what the asker may know; RefusedError (403) for others' usage."""
    if asker.customer is None:
        return question
    own: tuple[str, ...] = (asker.customer,)
    if not set(question.among.get(Dimension.CUSTOMER, own)) <= set(own):
        raise RefusedError("customer: a customer's key sees its own usage only", status=403)
    return replace(question, among={**question.among, Dimension.CUSTOMER.value: own})


def told(standing: Standing, asker: Asker) -> Standing:
    """What the answer rests on; positions would tell a customer how much all others use."""
    return standing if asker.customer is None else replace(standing, positions={})
