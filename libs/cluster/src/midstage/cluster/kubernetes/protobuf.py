"""Messages of protobuf declared as classes: the few fields that are read, each with its number.

What is not declared is skipped as it is parsed. Text is declared as bytes, which are the same on
the wire: Kubernetes keeps what is no UTF-8 (a container's last words, cut in the middle of a
letter), and where a message says ``string`` that could not be read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Final, TypeVar, get_args, get_origin, get_type_hints

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

_SCALARS: Final[Mapping[object, FieldDescriptorProto.Type.ValueType]] = {
    bytes: FieldDescriptorProto.TYPE_BYTES,
    bool: FieldDescriptorProto.TYPE_BOOL,
    int: FieldDescriptorProto.TYPE_INT64,
}


class Message:
    """The base of what is declared: ``name: Annotated[type, number]``.

    A type is bytes, bool, int (of any width), another message, or a sequence of one of them. A
    field that was not sent reads as its type's zero.
    """

    def HasField(self, field_name: str) -> bool:  # noqa: N802  the library's name
        """Whether a field that is no sequence was sent."""
        raise NotImplementedError

    def SerializeToString(self) -> bytes:  # noqa: N802  the library's name
        """The message on the wire."""
        raise NotImplementedError


M = TypeVar("M", bound=Message)


def maker(declared: type[M]) -> Callable[..., M]:
    """Makes messages of that class from their fields; ``reader`` is what it reads them with."""
    file = FileDescriptorProto(name=f"{declared.__qualname__}.proto", package=_package(declared))
    for each in dict.fromkeys(_all(declared)):
        message = file.message_type.add(name=each.__name__)
        for name, kind, number in _fields(each):
            message.field.append(_field(declared, name, kind, number))
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    found = pool.FindMessageTypeByName(f"{file.package}.{declared.__name__}")
    return GetMessageClass(found)  # type: ignore[return-value]  # it has the declared fields


def reader(declared: type[M]) -> Callable[[bytes], M]:
    """Reads one message of that class; ValueError where the bytes are none."""
    made = maker(declared)

    def read(body: bytes) -> M:
        try:
            return made.FromString(body)  # type: ignore[attr-defined,no-any-return]  # the library's
        except DecodeError as e:
            raise ValueError(str(e)) from e

    return read


def text(body: bytes) -> str:
    """The text; what is no UTF-8 in it has the replacement sign, as in the server's own JSON."""
    return body.decode("utf-8", "replace")


def _package(declared: type[Message]) -> str:
    return f"midstage.{declared.__name__}"


def _all(declared: type[Message]) -> Iterator[type[Message]]:
    """The class and all that its fields are made of."""
    yield declared
    for _, kind, _ in _fields(declared):
        each = _each(kind)
        if isinstance(each, type) and issubclass(each, Message):
            yield from _all(each)


def _fields(declared: type[Message]) -> Iterator[tuple[str, object, int]]:
    """Name, type and number of each field."""
    for name, told in get_type_hints(declared, include_extras=True).items():
        if get_origin(told) is Annotated:
            kind, number = get_args(told)
            yield name, kind, number


def _field(root: type[Message], name: str, kind: object, number: int) -> FieldDescriptorProto:
    repeated = get_origin(kind) is Sequence
    field = FieldDescriptorProto(
        name=name,
        number=number,
        label=FieldDescriptorProto.LABEL_REPEATED
        if repeated
        else FieldDescriptorProto.LABEL_OPTIONAL,
    )
    each = _each(kind)
    if each in _SCALARS:
        field.type = _SCALARS[each]
    elif isinstance(each, type):
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{_package(root)}.{each.__name__}"
    return field


def _each(kind: object) -> object:
    """What a sequence is of; what is no sequence is itself."""
    return get_args(kind)[0] if get_origin(kind) is Sequence else kind
