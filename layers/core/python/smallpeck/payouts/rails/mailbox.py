"""The bank mailbox: two folders of files between this platform and the program that speaks with the bank.

A bank's own channel (EBICS, SFTP) needs keys, contracts and a program that has been certified with the bank. That
program, the *connector*, stands outside: it fetches every file from `out` once, in whatever order, removes none, and
puts every answer of the bank into `in`, under a name of its own that it does not use again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from smallpeck.kernel.errors import Unavailable


class Folder(StrEnum):
    """What lies where."""

    OUT = "out"
    """Payment files for the bank: names and accounts of people. Written once, never changed, gone after some days."""
    SENT = "sent"
    """One note for each payment file: which payouts, how much; nothing about people. Kept."""
    IN = "in"
    """The bank's answers: personal data too, gone after some weeks."""
    HELD = "held"
    """One note for each answer that a person must look at: its name and why; nothing about people."""


class MailboxFailed(Unavailable):
    """The mailbox did not answer, or not as it should: what was asked of it may have been done."""

    code = "mailbox_failed"


@dataclass(frozen=True)
class Listed:
    """A file in a folder. `tag` differs where the content does; `at_ms` is when it was put there."""

    name: str
    tag: str
    at_ms: int
    size: int


class Mailbox(Protocol):
    """Who keeps the files. Every method raises MailboxFailed where no answer came."""

    def put(self, folder: Folder, name: str, content: bytes) -> bool:
        """Puts a file there unless there is one of this name; whether it was put now."""
        ...

    def replace(self, folder: Folder, name: str, content: bytes) -> None:
        """Puts a file there, in the place of an earlier one."""
        ...

    def get(self, folder: Folder, name: str) -> bytes | None:
        """The content of a file, or None where there is none."""
        ...

    def listed(self, folder: Folder, *, beginning: str = "", since_ms: int = 0) -> Sequence[Listed]:
        """The files whose names begin so, put there at `since_ms` or later, oldest first."""
        ...
