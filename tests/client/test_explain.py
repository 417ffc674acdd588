"""Nothing that a spec may say is left unexplained."""

from collections.abc import Iterator

import pytest
from msgspec import inspect

from midstage.client.explain import explained
from midstage.contracts import described
from midstage.contracts.apps import AppSpec
from midstage.contracts.schemas import structs

STRUCTS = {each.cls: each for each in structs([AppSpec])}


def paths(struct: inspect.StructType, begin: str = "") -> Iterator[str]:
    for field in struct.fields:
        path = f"{begin}{field.encode_name}"
        yield path
        for inner in structs_of(field.type):
            yield from paths(inner, f"{path}.")


def structs_of(kind: inspect.Type) -> Iterator[inspect.StructType]:
    match kind:
        case inspect.StructType():
            yield kind
        case inspect.VarTupleType(item_type=item) | inspect.DictType(value_type=item):
            yield from structs_of(item)
        case inspect.UnionType(types=types):
            for each in types:
                yield from structs_of(each)
        case _:
            return


@pytest.mark.parametrize("struct", STRUCTS.values(), ids=lambda each: each.cls.__name__)
def test_a_docstring_speaks_of_every_field(struct: inspect.StructType) -> None:
    told = described.fields(struct.cls)
    assert {field.encode_name for field in struct.fields} <= set(told)
    assert described.about(struct.cls)


@pytest.mark.parametrize("path", list(paths(STRUCTS[AppSpec])))
def test_every_field_is_explained_by_its_path(path: str) -> None:
    told = explained(path).splitlines()
    assert told[0].startswith(f"{path}: ")
    assert len(told) >= 2
    assert "None" not in told[0]
