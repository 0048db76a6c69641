"""A second reading of a protobuf body that holds invalid UTF-8, which the first one refuses as a whole."""

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError

_STRING, _BYTES = FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES


def repaired_copy(kind: Any, body: bytes) -> Any:
    """Return the message with U+FFFD for what is no UTF-8; None when the body is not of this kind at all."""
    try:
        loose = _loose(kind.DESCRIPTOR).FromString(body)
        _mend(loose, kind.DESCRIPTOR)
        return kind.FromString(loose.SerializeToString())
    except DecodeError:
        return None


@cache
def _loose(descriptor: Any) -> Any:
    """Return the same message class with bytes in the place of strings."""
    pool = descriptor_pool.DescriptorPool()
    _add(pool, descriptor.file, set())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(descriptor.full_name))


def _add(pool: Any, file: Any, seen: set[str]) -> None:
    if file.name in seen:
        return
    seen.add(file.name)
    for below in file.dependencies:
        _add(pool, below, seen)
    copy = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(copy)
    for message in copy.message_type:
        _bytes_for_strings(message)
    pool.Add(copy)


def _bytes_for_strings(message: Any) -> None:
    for field in message.field:
        if field.type == _STRING:
            field.type = _BYTES
    for below in message.nested_type:
        _bytes_for_strings(below)


def _mend(message: Any, strict: Any) -> None:
    """Make every field that is a string in the strict message valid UTF-8. A body is nested 100 deep at most."""
    for field, value in message.ListFields():
        kind = strict.fields_by_name[field.name]
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for item in value if field.is_repeated else [value]:
                _mend(item, kind.message_type)
        elif kind.type == _STRING:
            if field.is_repeated:
                value[:] = [_valid(item) for item in value]
            else:
                setattr(message, field.name, _valid(value))


def _valid(raw: bytes) -> bytes:
    return raw.decode(errors="replace").encode()
