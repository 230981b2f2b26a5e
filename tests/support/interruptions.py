"""Ctrl-C during the calls of a command that runs in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.client import BaseClient

_READING = ("Get", "List", "Describe", "Head", "Batch")


class Interruption:
    """Ctrl-C at one call to AWS, which is answered, but the answer is lost.

    Attributes:
        calls: the calls so far, by name; without those that do not count.
    """

    def __init__(self, number: int, *, only_changes: bool) -> None:
        self.calls: list[str] = []
        self._number, self._only_changes = number, only_changes

    def count(self, operation: str) -> None:
        """Count a call; raise KeyboardInterrupt if it is the one."""
        if self._only_changes and operation.startswith(_READING):
            return
        self.calls.append(operation)
        if len(self.calls) == self._number:
            raise KeyboardInterrupt


@contextmanager
def interrupted_at(number: int, *, only_changes: bool = False) -> Iterator[Interruption]:
    """Press Ctrl-C during the call of this number, from 1.

    Args:
        number: of the call.
        only_changes: do not count calls that only read.
    """
    interruption = Interruption(number, only_changes=only_changes)
    call = vars(BaseClient)["_make_api_call"]  # every operation of every client goes through it

    def answered(client: BaseClient, operation: str, arguments: Any) -> Any:
        answer = call(client, operation, arguments)
        interruption.count(operation)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", answered)
        yield interruption
