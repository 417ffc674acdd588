"""What of a question about usage an asker may be told: a customer its own usage alone."""

from dataclasses import replace

from midstage.contracts.errors import RefusedError
from midstage.stats.views.asker import Asker
from midstage.stats.views.usage.parts import Standing
from midstage.stats.views.usage.question import Dimension, Question


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
