"""Fields of values: how objects are written as maps, and each field read with its type checked."""

from __future__ import annotations

from typing import NamedTuple, cast

from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError, Value
from dsvc.objects.ids import ID_LENGTH, ObjectId

_EMPTY: tuple[object, ...] = (None, (), {})


class Person(NamedTuple):
    """Who did something and when: `time` in microseconds since 1970 UTC, `zone` in minutes east of UTC."""

    name: str
    email: str
    time: int
    zone: int = 0


def person_fields(person: Person) -> tuple[str, str, int, int]:
    """Return a person as it stands in a value."""
    return (person.name, person.email, person.time, person.zone)


def present(fields: dict[str, object], always: tuple[str, ...]) -> dict[str, object]:
    """Leave out the fields that are empty, so that a value has one form; those in `always` stay."""
    return {k: v for k, v in fields.items() if k in always or v not in _EMPTY}


class Fields:
    """The fields of one decoded object, each read with its type checked.

    Every method raises BadEncodingError for a field that is not of its type.
    """

    __slots__ = ("payload", "values", "what")

    def __init__(self, payload: bytes, what: str) -> None:
        values = codec.decode(payload)
        if not isinstance(values, dict):
            raise BadEncodingError(f"a {what} is not a map of fields")
        self.payload, self.values, self.what = payload, values, what

    def check(self, again: bytes) -> None:
        """Refuse fields that were not read, and empty ones that should have been left out."""
        if again != self.payload:
            raise BadEncodingError(f"a {self.what} has unknown or empty fields")

    def check_names(self, always: tuple[str, ...], sometimes: tuple[str, ...]) -> None:
        """Do the same without encoding again, for fields that stand in a value as they are read.

        The bytes as a whole were found canonical when they were decoded.
        """
        unknown = any(name not in always and (name not in sometimes or v in _EMPTY) for name, v in self.values.items())
        if unknown or not all(name in self.values for name in always):
            raise BadEncodingError(f"a {self.what} has missing, unknown or empty fields")

    def bad(self, name: str) -> BadEncodingError:
        """Return the error for a field that is not of its form."""
        return BadEncodingError(f"a {self.what} has no valid field '{name}'")

    def text(self, name: str) -> str:
        """Return a text."""
        value = self.values.get(name)
        if not isinstance(value, str):
            raise self.bad(name)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a sequence of texts, empty where there is none."""
        value = self.values.get(name, ())
        if not isinstance(value, tuple) or not all(isinstance(v, str) for v in value):
            raise self.bad(name)
        return cast("tuple[str, ...]", value)

    def integer(self, name: str) -> int:
        """Return a whole number."""
        value = self.values.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.bad(name)
        return value

    def id(self, name: str) -> ObjectId:
        """Return an id."""
        value = self.values.get(name)
        if not isinstance(value, bytes) or len(value) != ID_LENGTH:
            raise self.bad(name)
        return ObjectId(value)

    def optional_integer(self, name: str) -> int | None:
        """Return a whole number, or None where there is none."""
        return self.integer(name) if name in self.values else None

    def optional_text(self, name: str) -> str:
        """Return a text, empty where there is none."""
        return self.text(name) if name in self.values else ""

    def optional_id(self, name: str) -> ObjectId | None:
        """Return an id, or None where there is none."""
        return self.id(name) if name in self.values else None

    def ids(self, name: str) -> tuple[ObjectId, ...]:
        """Return a sequence of ids, empty where there is none."""
        value = self.values.get(name, ())
        if not isinstance(value, tuple):
            raise self.bad(name)
        if not all(isinstance(v, bytes) and len(v) == ID_LENGTH for v in value):
            raise self.bad(name)
        return cast("tuple[ObjectId, ...]", value)

    def optional_bytes(self, name: str) -> bytes | None:
        """Return bytes, or None where there are none."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, bytes):
            raise self.bad(name)
        return value

    def array(self, name: str) -> tuple[Value, ...]:
        """Return an array of anything, empty where there is none."""
        value = self.values.get(name, ())
        if not isinstance(value, tuple):
            raise self.bad(name)
        return value

    def map(self, name: str) -> dict[str, Value]:
        """Return a map, empty where there is none."""
        value = self.values.get(name, {})
        if not isinstance(value, dict):
            raise self.bad(name)
        return value

    def map_of_texts(self, name: str) -> dict[str, str]:
        """Return a map of names to texts, empty where there is none."""
        value = self.map(name)
        if not all(isinstance(text, str) for text in value.values()):
            raise self.bad(name)
        return cast("dict[str, str]", value)

    def person(self, name: str) -> Person:
        """Return a person."""
        value = self.values.get(name)
        if not isinstance(value, tuple) or [type(v) for v in value] != [str, str, int, int]:
            raise self.bad(name)
        return Person(*cast("tuple[str, str, int, int]", value))
