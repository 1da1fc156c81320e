"""
Header blocks in: octets to fields (RFC 7541 sections 4 and 6).

Owns the dynamic table of what the peer sends. hpack's decoder does the same and is the oracle of
this one in the tests; this one is some four times as fast, because a peer that puts something new
into every response (a request id, a date) makes decoding the dearest part of a small one.

What makes it fast:

* a table entry is a finished thing: the field, what it adds to the list's size, and its *mark*,
  so that a field that is indexed costs a look-up and an addition;
* marks say what :mod:`txhyper.core.header_block` has to know of a field. They are worked out when a
  field enters the table, and added up over a block, so that a block of good fields is known to be
  good when it has been read;
* Huffman-coded strings that came before are remembered, but for secrets.
"""

from __future__ import annotations

from hpack.table import HeaderTable

from txhyper.core import huffman
from txhyper.core.header_block import HeaderBlock, mark
from txhyper.core.headers import SENSITIVE, Field

__all__ = ["CompressionFailed", "Decoder", "HeaderListTooLarge"]

#: A field, its mark, and its size as the list's size counts it.
Entry = tuple[Field, int, int]

#: Octets that an entry costs beside its name and value (RFC 7541 section 4.1).
OVERHEAD = 32

#: Huffman-coded strings remembered for a connection, and the longest of them.
REMEMBERED_STRINGS = 256
LONGEST_REMEMBERED = 64

#: The largest integer that is read (RFC 7541 section 5.1): far above any length or index that
#: could be right.
MAX_INTEGER = 1 << 28


class CompressionFailed(Exception):
    """A header block that cannot be decoded: the connection's context is lost with it."""


class HeaderListTooLarge(CompressionFailed):
    """A header block that opens to more than was announced."""


def _entry(name: bytes, value: bytes) -> Entry:
    return (name, value), mark(name, value), OVERHEAD + len(name) + len(value)


STATIC: list[Entry] = [((b"", b""), 0, 0), *(_entry(*field) for field in HeaderTable.STATIC_TABLE)]
STATIC_LENGTH = len(STATIC) - 1


class Decoder:
    """
    What the peer's header blocks mean.

    After an exception nothing may be decoded any more: the connection must end
    (RFC 9113 section 4.3).
    """

    __slots__ = (
        "_entries",
        "_size",
        "_strings",
        "changes",
        "max_allowed_table_size",
        "max_header_list_size",
        "max_table_size",
    )

    def __init__(self, max_header_list_size: int) -> None:
        """:param max_header_list_size: in octets, 32 counted on top for each field."""
        self.max_header_list_size = max_header_list_size
        #: What was announced as HEADER_TABLE_SIZE and acknowledged.
        self.max_allowed_table_size = HeaderTable.DEFAULT_SIZE
        #: What the peer makes of it.
        self.max_table_size = HeaderTable.DEFAULT_SIZE
        # The newest entry is the last: index 62 is the end of the list.
        self._entries: list[Entry] = []
        self._size = 0
        self._strings: dict[bytes, bytes] = {}
        #: How often the dynamic table has changed: what was remembered before is void.
        self.changes = 0

    def decode(self, block: bytes) -> HeaderBlock:
        """
        The fields of a block.

        :raises HeaderListTooLarge: they are larger than was announced.
        :raises CompressionFailed: the block breaks RFC 7541.
        """
        try:
            return self._decode(block)
        except IndexError:
            raise CompressionFailed("a header block that ends within a field") from None
        except huffman.InvalidString as error:
            raise CompressionFailed(str(error)) from None

    def _decode(self, block: bytes) -> HeaderBlock:
        fields: list[Field] = []
        marks = size = position = 0
        secret = False
        end = len(block)
        limit = self.max_header_list_size
        while position < end:
            octet = block[position]
            if octet & 0x80:
                # Indexed (6.1).
                index = octet & 0x7F
                position += 1
                if index == 0x7F:
                    index, position = _integer(block, position, index)
                entry = STATIC[index] if 0 < index <= STATIC_LENGTH else self._dynamic(index)
            elif octet & 0x40:
                # Literal with incremental indexing (6.2.1).
                entry, position = self._literal(block, position, octet & 0x3F, 0x3F, False)
                self._insert(entry)
            elif octet & 0x20:
                # Table size update (6.3), which stands before all fields (4.2).
                if fields:
                    raise CompressionFailed("a table size update after the first field")
                largest, position = octet & 0x1F, position + 1
                if largest == 0x1F:
                    largest, position = _integer(block, position, largest)
                self._resize(largest)
                continue
            else:
                # Literal without indexing (6.2.2), or never indexed (6.2.3).
                never = bool(octet & 0x10)
                secret = secret or never
                entry, position = self._literal(block, position, octet & 0x0F, 0x0F, never)
            fields.append(entry[0])
            marks += entry[1]
            size += entry[2]
            if size > limit:
                raise HeaderListTooLarge(f"a header list of more than {limit} octets")
        if self.max_table_size > self.max_allowed_table_size:
            raise CompressionFailed("the table was not shrunk to what was announced")
        return HeaderBlock(fields, marks, secret)

    def _dynamic(self, index: int) -> Entry:
        """An entry by its index, which is not one of the static table's."""
        place = index - STATIC_LENGTH
        if not 0 < place <= len(self._entries) or not index:
            raise CompressionFailed(f"the index {index}, which is not in the table")
        return self._entries[-place]

    def _literal(
        self, block: bytes, position: int, index: int, mask: int, secret: bool
    ) -> tuple[Entry, int]:
        """
        A literal whose first octet has been read: the entry, and where the next begins.

        :param secret: whether it is marked as never to be indexed.
        """
        position += 1
        if index:
            if index == mask:
                index, position = _integer(block, position, index)
            source = STATIC[index] if index <= STATIC_LENGTH else self._dynamic(index)
            name = source[0][0]
        else:
            name, position = self._string(block, position, True)
        value, position = self._string(block, position, not secret and name not in SENSITIVE)
        return _entry(name, value), position

    def _string(self, block: bytes, position: int, remember: bool) -> tuple[bytes, int]:
        """
        A string (5.2), and where the next thing begins.

        :param remember: whether what its code means may be kept: not if it is a secret.
        """
        octet = block[position]
        length = octet & 0x7F
        position += 1
        if length == 0x7F:
            length, position = _integer(block, position, length)
        end = position + length
        data = block[position:end]
        if len(data) != length:
            raise CompressionFailed("a header block that ends within a string")
        if octet & 0x80:
            strings = self._strings
            known = strings.get(data)
            if known is None:
                known = huffman.decode(data)
                if remember and length <= LONGEST_REMEMBERED:
                    if len(strings) >= REMEMBERED_STRINGS:
                        strings.clear()
                    strings[data] = known
            data = known
        return data, end

    def _insert(self, entry: Entry) -> None:
        """Add an entry; older ones make room (4.4)."""
        self.changes += 1
        self._size += entry[2]
        self._entries.append(entry)
        if self._size > self.max_table_size:
            self._evict()

    def _resize(self, largest: int) -> None:
        if largest > self.max_allowed_table_size:
            raise CompressionFailed(
                f"a table size of {largest} octets, above HEADER_TABLE_SIZE "
                f"{self.max_allowed_table_size}"
            )
        self.changes += 1
        self.max_table_size = largest
        self._evict()

    def _evict(self) -> None:
        entries = self._entries
        count = 0
        while self._size > self.max_table_size:
            self._size -= entries[count][2]
            count += 1
        del entries[:count]


def _integer(block: bytes, position: int, value: int) -> tuple[int, int]:
    """The rest of an integer whose prefix is all ones (5.1), and where the next thing begins."""
    shift = 0
    while True:
        octet = block[position]
        position += 1
        value += (octet & 0x7F) << shift
        if value > MAX_INTEGER or shift > 28:
            raise CompressionFailed("an integer that is too large")
        if not octet & 0x80:
            return value, position
        shift += 7
