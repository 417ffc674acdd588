"""The keys file: customers, and keys that people have names for."""

import pytest

from midstage.contracts.errors import RefusedError
from midstage.gateway.decide.apps import WrittenKey, keys
from midstage.gateway.model.apps import ApiKey


def test_a_key_may_have_a_name() -> None:
    found = keys({"k1": "acme", "k2": WrittenKey(customer="acme", name="ci")})

    assert found == (
        ApiKey(key="k1", customer="acme"),
        ApiKey(key="k2", customer="acme", name="ci"),
    )


@pytest.mark.parametrize("name", ["two words", "é", "x" * 129, "line\n"])
def test_a_name_that_throttle_could_not_limit_is_refused_without_the_key(name: str) -> None:
    with pytest.raises(RefusedError, match="can't be the name of a key") as told:
        keys({"secret": WrittenKey(customer="acme", name=name)})

    assert "secret" not in str(told.value)
