"""CLIP's tokenizer for ASCII text, from a table that loads in a millisecond.

The `tokenizers` library needs 90 to 150 ms and 40 MiB to read a `tokenizer.json` of 49,408 tokens, a third of a text
tower's cold start. This table has only the merges, and a merge is found by binary search in the bytes of the file.
`infra.bake.byte_pairs` writes it if the ids of both are equal. Any other text is left to the library, which knows
Unicode's categories and normal forms.

File, little-endian: uint32 start token, end token, 256 ids of a byte inside a word, 256 ids of a word's last byte;
uint64 pairs (left id << 32 | right id), ascending; uint64 merges (priority << 32 | merged id), in the same order.
"""

import re
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING

from handler.frozen import frozen

if TYPE_CHECKING:
    from mmap import mmap

HEADER_BYTES = (2 + 2 * 256) * 4

# Contractions, runs of letters, single digits, runs of other characters; white space separates. The text is lower-case.
_WORD = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+", re.ASCII)

# The time to merge a word grows with the square of its length; the library's time does not.
_MAX_WORD = 64

_NO_MERGE = 2**64 - 1


@frozen
class BytePairs:
    """The table.

    Attributes:
        start: id of the start token.
        end: id of the end token.
        inner: ids of the 256 bytes, inside a word.
        last: ids of the 256 bytes, at the end of a word.
        pairs: uint64, see above.
        merges: uint64, see above.
    """

    start: int
    end: int
    inner: memoryview
    last: memoryview
    pairs: memoryview
    merges: memoryview

    def ids(self, text: str) -> list[int] | None:
        """The ids of a text, with the start and the end token; None if the text is not ASCII or a word is too long."""
        if not text.isascii():
            return None
        words = _WORD.findall(text.lower())
        if any(len(word) > _MAX_WORD for word in words):
            return None
        return [self.start, *(token for word in words for token in self._merged(word.encode())), self.end]

    def _merged(self, word: bytes) -> list[int]:
        """Merge the pair of the highest priority (the smallest number), the leftmost first, until no pair is left."""
        ids = [*(self.inner[byte] for byte in word[:-1]), self.last[word[-1]]]
        while len(ids) > 1:
            found = [self._merge(left, right) for left, right in pairwise(ids)]
            best = min(found)
            if best == _NO_MERGE:
                break
            at = found.index(best)
            ids[at : at + 2] = [best & 0xFFFF_FFFF]
        return ids

    def _merge(self, left: int, right: int) -> int:
        pair = left << 32 | right
        at = bisect_left(self.pairs, pair)
        return self.merges[at] if at < len(self.pairs) and self.pairs[at] == pair else _NO_MERGE


def read_byte_pairs(data: "bytes | mmap") -> BytePairs:
    """Read a file's content, which is not copied.

    Raises:
        ValueError: it has an impossible length.
    """
    view = memoryview(data)
    if len(data) < HEADER_BYTES or (len(data) - HEADER_BYTES) % 16:
        raise ValueError(f"{len(data)} bytes are not a table of byte pairs")
    header, table = view[:HEADER_BYTES].cast("I"), view[HEADER_BYTES:].cast("Q")
    middle = len(table) // 2
    return BytePairs(header[0], header[1], header[2:258], header[258:514], table[:middle], table[middle:])
