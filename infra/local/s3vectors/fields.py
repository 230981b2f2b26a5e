"""Read the members of a request; missing, too long or mistyped members are errors with AWS's messages."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.local.s3vectors.errors import InvalidField, SerializationError, ValidationError

Json = dict[str, Any]
Limits = tuple[int, int]


def constraint_error(path: str, rule: str, *, length: int | None = None) -> ValidationError:
    """The error for a violated constraint of the service model.

    Args:
        path: of the member, such as `/vectors/0/key`.
        rule: what the member must satisfy.
        length: the member's, where the rule is about that.
    """
    value = "Value" if length is None else f"Value with length {length}"
    said = f"{value} at '{path}' failed to satisfy constraint: {rule}"
    return ValidationError(f"1 validation error detected. {said}", InvalidField(path, said))


@dataclass(frozen=True)
class Fields:
    """A structure of a request.

    Attributes:
        members: by name.
        path: where it is in the request; empty for the request itself.
    """

    members: Mapping[str, Any]
    path: str = ""

    def __contains__(self, name: str) -> bool:
        return self.members.get(name) is not None

    def check_names(self, known: Collection[str]) -> None:
        """Reject members that this stand-in does not support, instead of ignoring them.

        Raises:
            ValidationError: names them.
        """
        unknown = sorted(self.members.keys() - set(known))
        if unknown:
            raise ValidationError(f"the local S3 Vectors does not know the member {self._at(unknown[0])!r}")

    def text(self, name: str, limits: Limits | None = None) -> str:
        """A string whose length is within limits."""
        return _text(self._get(name), self._at(name), limits)

    def integer(self, name: str, limits: Limits) -> int:
        """An integer within limits, both included."""
        value = self._get(name)
        if type(value) is not int:
            raise SerializationError(f"{self._at(name)} must be an integer")
        low, high = limits
        if not low <= value <= high:
            raise constraint_error(self._at(name), f"Member must be between {low} and {high}, inclusive")
        return value

    def flag(self, name: str) -> bool:
        """A boolean; false if it is absent."""
        value = self._get(name) if name in self else False
        if not isinstance(value, bool):
            raise SerializationError(f"{self._at(name)} must be a boolean")
        return value

    def choice(self, name: str, choices: Collection[str]) -> str:
        """One of some strings."""
        value = self.text(name)
        if value not in choices:
            listed = ", ".join(choices)
            raise constraint_error(self._at(name), f"Member must satisfy enum value set: [{listed}]")
        return value

    def texts(self, name: str, count: Limits, each: Limits) -> list[str]:
        """A list of strings."""
        return [_text(value, path, each) for path, value in self._list(name, count)]

    def structure(self, name: str) -> "Fields":
        """A structure inside this one."""
        return _structure(self._get(name), self._at(name))

    def structures(self, name: str, count: Limits) -> Iterator["Fields"]:
        """A list of structures; the error of an entry comes when the iterator reaches it."""
        return (_structure(value, path) for path, value in self._list(name, count))

    def values(self, name: str) -> list[Any]:
        """A list of anything."""
        value = self._get(name)
        if not isinstance(value, list):
            raise SerializationError(f"{self._at(name)} must be a list")
        return value

    def _list(self, name: str, count: Limits) -> Iterator[tuple[str, Any]]:
        values, path = self.values(name), self._at(name)
        _check_length(values, path, count)
        return ((f"{path}/{position}", value) for position, value in enumerate(values))

    def _get(self, name: str) -> Any:  # noqa: ANN401 - the callers check the type
        if name not in self:
            raise constraint_error(self._at(name), "Member must not be null")
        return self.members[name]

    def _at(self, name: str) -> str:
        return f"{self.path}/{name}"


def _structure(value: object, path: str) -> Fields:
    if not isinstance(value, dict):
        raise SerializationError(f"{path} must be an object")
    return Fields(value, path)


def _text(value: object, path: str, limits: Limits | None) -> str:
    if not isinstance(value, str):
        raise SerializationError(f"{path} must be a string")
    if limits:
        _check_length(value, path, limits)
    return value


def _check_length(value: Collection[Any], path: str, limits: Limits) -> None:
    low, high = limits
    if not low <= len(value) <= high:
        rule = f"Member must have length between {low} and {high}, inclusive"
        raise constraint_error(path, rule, length=len(value))
