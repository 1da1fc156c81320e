"""
Header blocks: header lists to octets and octets to header lists (RFC 7541).

Owns the two compression contexts of one connection, the choice of who compresses, and the memory
of blocks that came before. The contexts belong to the connection, not to a stream: a block is
decoded even when nobody wants its stream any more, or every later block would be read against the
wrong table.

Who does it: :mod:`txhyper.core.decoder` decodes. libnghttp2 encodes where it is installed
(:mod:`txhyper.core.nghttp2`), hpack's encoder where it is not.

The rules kept here:

* the same octets mean the same fields, and the same fields make the same octets, *as long as the
  dynamic table has not changed in between*. So both are remembered, and every insertion, eviction
  and resize forgets all of it. A block that itself changes the table is never remembered;
* ``:path`` is a literal without indexing. It is new with most requests, and an entry for each
  would push out the fields that do repeat, and wipe the memory each time;
* secrets are never indexed (RFC 7541 section 7.1.3), so that no other request on the connection
  can be used to guess them, and never remembered;
* the memory is bounded in number and in octets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hpack import Encoder, HeaderTuple, NeverIndexedHeaderTuple
from hpack import __version__ as hpack_version

from txhyper.core.decoder import CompressionFailed, Decoder, HeaderListTooLarge
from txhyper.core.header_block import HeaderBlock
from txhyper.core.headers import SENSITIVE, Field
from txhyper.core.nghttp2 import Deflater, load

__all__ = [
    "TABLE_SIZE",
    "CompressionFailed",
    "HeaderCoder",
    "HeaderListTooLarge",
    "coder_name",
]

#: Octets of each compression table, the RFC's default. A peer may ask for a smaller one for what
#: we send; a larger one it may offer, but the memory would be ours.
TABLE_SIZE = 4096

#: How many blocks are remembered in each direction, and the longest of them in octets.
REMEMBERED_BLOCKS = 256
LONGEST_REMEMBERED = 1024

#: The name of :path in the static table, as a literal without indexing (RFC 7541 section 6.2.2).
PATH = b"\x04"


def coder_name() -> str:
    """Who encodes header blocks in this process, for people."""
    library = load()
    return f"hpack {hpack_version}" if library is None else f"libnghttp2 {library.version}"


class PurePython:
    """hpack's encoder, which marks secrets in its own way and knows no limit of ours."""

    __slots__ = ("_encoder",)

    def __init__(self) -> None:
        self._encoder = Encoder()

    @property
    def header_table_size(self) -> int:
        """The dynamic table's size in octets (RFC 7541 section 4.2)."""
        return int(self._encoder.header_table_size)

    @header_table_size.setter
    def header_table_size(self, size: int) -> None:
        self._encoder.header_table_size = size

    def encode(self, fields: Sequence[Field]) -> bytes:
        """A part of a header block."""
        return bytes(
            self._encoder.encode(
                NeverIndexedHeaderTuple(*field) if field[0] in SENSITIVE else HeaderTuple(*field)
                for field in fields
            )
        )


class HeaderCoder:
    """The encoder and the decoder of one connection."""

    __slots__ = ("_encoder", "_read", "_read_at", "_sizes", "_written", "decoder")

    def __init__(self, max_header_list_size: int) -> None:
        """:param max_header_list_size: the largest list that is taken from the peer."""
        library = load()
        self._encoder = PurePython() if library is None else Deflater(library, TABLE_SIZE)
        self.decoder = Decoder(max_header_list_size)
        # The smallest and the last size that the encoder's table has to take.
        self._sizes: tuple[int, int] | None = None
        # Requests without their path to the octets before and after it.
        self._written: dict[object, tuple[bytes, bytes]] = {}
        # Blocks to what they mean, and the state of the table in which they do.
        self._read: dict[bytes, HeaderBlock] = {}
        self._read_at = 0

    @property
    def header_table_size(self) -> int:
        """The size of the dynamic table for encoding, in octets: h2 sets what the peer allows."""
        return self._sizes[1] if self._sizes else self._encoder.header_table_size

    @header_table_size.setter
    def header_table_size(self, size: int) -> None:
        # A peer may offer a larger table than we want: the memory would be ours.
        size = min(size, TABLE_SIZE)
        if size != self.header_table_size:
            # However often it changes before the next block, that names the smallest and the last
            # (RFC 7541 section 4.2).
            self._sizes = (min(size, self._sizes[0]) if self._sizes else size, size)
            self._written.clear()

    def request(
        self, method: bytes, scheme: bytes, authority: bytes, path: bytes, fields: Sequence[Field]
    ) -> bytes:
        """
        The block of a request, pseudo-header fields first (RFC 9113 section 8.3.1).

        CONNECT has neither ``:scheme`` nor ``:path`` (RFC 9113 section 8.5).
        """
        if method == b"CONNECT":
            return self.trailers([(b":method", method), (b":authority", authority), *fields])
        key = (method, scheme, authority, *fields)
        known = self._written.get(key)
        if known is None:
            known = self._write(key, method, scheme, authority, fields)
        length = len(path)
        if length < 0x7F:
            return b"%b\x04%c%b%b" % (known[0], length, path, known[1])
        return b"".join([known[0], PATH, _long_length(length), path, known[1]])

    def _write(
        self, key: object, method: bytes, scheme: bytes, authority: bytes, fields: Sequence[Field]
    ) -> tuple[bytes, bytes]:
        before = self._encode(
            [(b":method", method), (b":scheme", scheme), (b":authority", authority)]
        )
        after = self._encode(fields) if fields else b""
        if changes_table(before) or changes_table(after):
            self._written.clear()
        elif (
            SENSITIVE.isdisjoint([name for name, _ in fields])
            and sum([len(name) + len(value) for name, value in fields]) <= LONGEST_REMEMBERED
        ):
            if len(self._written) >= REMEMBERED_BLOCKS:
                self._written.clear()
            self._written[key] = before, after
        return before, after

    def _encode(self, fields: Sequence[Field]) -> bytes:
        if self._sizes is not None:
            for size in dict.fromkeys(self._sizes):
                self._encoder.header_table_size = size
            self._sizes = None
        return self._encoder.encode(fields)

    def trailers(self, fields: Iterable[Field]) -> bytes:
        """The block of a trailer section, or of anything that is not worth remembering."""
        block = self._encode(list(fields))
        if changes_table(block):
            self._written.clear()
        return block

    def decode(self, block: bytes) -> HeaderBlock:
        """
        The header list of a block.

        :raises HeaderListTooLarge: it is larger than the limit that was announced.
        :raises CompressionFailed: it breaks RFC 7541. Either way the connection must end
            (RFC 9113 section 4.3).
        """
        known = self._read.get(block)
        if known is not None:
            return known
        decoder = self.decoder
        decoded = decoder.decode(block)
        if decoder.changes != self._read_at:
            self._read_at = decoder.changes
            self._read.clear()
        elif not decoded.secret and len(block) <= LONGEST_REMEMBERED:
            if len(self._read) >= REMEMBERED_BLOCKS:
                self._read.clear()
            self._read[block] = decoded
        return decoded


def _long_length(length: int) -> bytes:
    """The length of a string of 127 octets and more (RFC 7541 section 5.1)."""
    octets = bytearray([0x7F])
    length -= 0x7F
    while length > 0x7F:
        octets.append(length & 0x7F | 0x80)
        length >>= 7
    octets.append(length)
    return bytes(octets)


def changes_table(block: bytes) -> bool:
    """
    Whether a part of a header block, of our own making, changes the dynamic table.

    Every representation says so in its first bits (RFC 7541 section 6); the others are skipped.
    """
    position = 0
    while position < len(block):
        octet = block[position]
        if octet & 0x80:
            position = _skip_integer(block, position, 0x7F)
        elif octet & 0x60:
            return True
        else:
            position = _skip_integer(block, position, 0x0F)
            if not octet & 0x0F:
                position = _skip_string(block, position)
            position = _skip_string(block, position)
    return False


def _skip_integer(block: bytes, position: int, mask: int) -> int:
    if block[position] & mask == mask:
        position += 1
        while block[position] & 0x80:
            position += 1
    return position + 1


def _skip_string(block: bytes, position: int) -> int:
    start = _skip_integer(block, position, 0x7F)
    length = block[position] & 0x7F
    if length == 0x7F:
        for shift, octet in enumerate(block[position + 1 : start]):
            length += (octet & 0x7F) << 7 * shift
    return start + length
