"""The text of an uploaded file: a stream of bytes becomes lines, and files that are no text are refused."""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NoReturn

from smallpeck.kernel.errors import Invalid

SNIFFED_BYTES: Final = 16
LONG_LINE_CHARACTERS: Final = 64 * 1024


class Refusal(StrEnum):
    """Why a whole file is refused."""

    EMPTY_FILE = "empty_file"
    HEADER_ONLY = "header_only"
    NOT_TEXT = "not_text"
    """By its first bytes it is an archive or another binary format, whatever its name says."""
    NOT_UTF8 = "not_utf8"
    NUL_CHARACTER = "nul_character"
    BAD_HEADER = "bad_header"
    DUPLICATE_COLUMN = "duplicate_column"
    EMPTY_COLUMN_NAME = "empty_column_name"
    UNCLOSED_QUOTE = "unclosed_quote"
    """`line` is where the quote was opened."""
    TOO_MANY_ROWS = "too_many_rows"
    FILE_TOO_LARGE = "file_too_large"
    FILE_GONE = "file_gone"
    NO_GOOD_ROWS = "no_good_rows"
    """Every row was rejected; the quarantine says why."""
    NO_CONTROL_COLUMN = "no_control_column"
    """The batch names where known answers stand, and no row has anything there."""


class FileRefused(Invalid):
    """The file as a whole cannot be imported. `line` is where it was noticed, if there is a place."""

    code = "file_refused"

    def __init__(self, refusal: Refusal, detail: str, line: int | None = None) -> None:
        super().__init__(detail if line is None else f"{detail} (line {line})")
        self.refusal = refusal
        self.line = line


_BINARY_STARTS: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip (or a spreadsheet)"),
    (b"PK\x05\x06", "zip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh91AY&SY", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"Rar!\x1a\x07", "RAR"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old spreadsheet"),
    (b"SQLite format 3\x00", "SQLite"),
    (b"%PDF-", "PDF"),
    (b"\x89PNG\r\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
)
_WIDE_STARTS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_NOT_UTF8: Final = "the file is not UTF-8; save it as CSV UTF-8"
_LINE_END: Final = re.compile(r"\r\n?|\n")


def sniffed(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """(first bytes, whole stream); raises FileRefused for what is no text by its first bytes."""
    source = iter(chunks)
    start = b""
    for chunk in source:
        start += chunk
        if len(start) >= SNIFFED_BYTES:
            break
    if not start.removeprefix(codecs.BOM_UTF8):
        raise FileRefused(Refusal.EMPTY_FILE, "the file is empty")
    for signature, what in _BINARY_STARTS:
        if start.startswith(signature):
            raise FileRefused(Refusal.NOT_TEXT, f"the file is {what}, not text")
    wide = start[1:4:2] == b"\0\0" or start[0:3:2] == b"\0\0"
    if wide or start.startswith(_WIDE_STARTS):
        raise FileRefused(Refusal.NOT_UTF8, "the file is UTF-16; save it as CSV UTF-8", 1)
    return start[:SNIFFED_BYTES], _chained(start, source)


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


@dataclass
class Lines:
    """The lines of a byte stream as text with their ends; a long line comes in pieces.

    `number` is the line that the last piece belongs to.
    """

    chunks: Iterator[bytes]
    number: int = 0

    def __iter__(self) -> Iterator[tuple[str, bool]]:
        """(piece, whether the line ends with it)."""
        rest = ""
        fresh = True
        for text in self._texts():
            rest += text
            begin = 0
            for match in _LINE_END.finditer(rest):
                end = match.end()
                # A CR at the very end may be the first half of CRLF.
                if end == len(rest) and match[0] == "\r":
                    break
                self.number += fresh
                fresh = True
                yield rest[begin:end], True
                begin = end
            rest = rest[begin:]
            if len(rest) > LONG_LINE_CHARACTERS and not rest.endswith("\r"):
                self.number += fresh
                fresh = False
                yield rest, False
                rest = ""
        if rest:
            self.number += fresh
            yield rest, True

    def _texts(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        for chunk in self.chunks:
            text, refusal = self._decoded(decoder, chunk)
            yield text
            if refusal is not None:
                self._refuse(refusal)
        if decoder.getstate()[0]:
            self._refuse(Refusal.NOT_UTF8)

    def _decoded(self, decoder: codecs.IncrementalDecoder, chunk: bytes) -> tuple[str, Refusal | None]:
        """The text up to the first thing that text must not hold, and what that is."""
        try:
            text, refusal = decoder.decode(chunk), None
        except UnicodeDecodeError as error:
            text, refusal = error.object[: error.start].decode("utf-8-sig"), Refusal.NOT_UTF8
        before, nul, _ = text.partition("\0")
        return before, Refusal.NUL_CHARACTER if nul else refusal

    def _refuse(self, refusal: Refusal) -> NoReturn:
        detail = _NOT_UTF8 if refusal is Refusal.NOT_UTF8 else "the file holds a NUL character"
        raise FileRefused(refusal, detail, self.number + 1)
