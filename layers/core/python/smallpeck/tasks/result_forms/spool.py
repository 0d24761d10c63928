"""A place for what has to be written later than it is known: in memory while it is small, then in a temporary file.

What is put there is compressed, because a function has 512 MB of disk and a batch may have millions of images.
"""

import tempfile
import zlib
from collections.abc import Iterator
from typing import Final

MEMORY_BYTES: Final = 1024 * 1024
_PIECE_BYTES: Final = 64 * 1024
_FAST: Final = 1


class Spool:
    """Takes bytes, and gives them back once, in the same order."""

    def __init__(self) -> None:
        # It lives as long as the spool: `close` is the owner's duty.
        self._file = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115
        self._packer = zlib.compressobj(_FAST)

    def write(self, body: bytes) -> None:
        """Adds to it."""
        self._file.write(self._packer.compress(body))

    def pieces(self) -> Iterator[bytes]:
        """Everything that was written, in pieces of bounded size."""
        self._file.write(self._packer.flush())
        self._file.seek(0)
        unpacker = zlib.decompressobj()
        while packed := self._file.read(_PIECE_BYTES):
            while packed:
                yield unpacker.decompress(packed, _PIECE_BYTES)
                packed = unpacker.unconsumed_tail
        while rest := unpacker.decompress(unpacker.unconsumed_tail, _PIECE_BYTES):
            yield rest

    def close(self) -> None:
        """Forgets everything."""
        self._file.close()
