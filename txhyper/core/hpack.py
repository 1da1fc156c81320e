"""
Header blocks: header lists to octets and octets to header lists (RFC 7541).

Owns the two compression contexts of one connection. The contexts belong to the connection, not to
a stream: a block is decoded even when nobody wants its stream any more, or every later block would
be read against the wrong table.

The rules kept here:

* ``:path`` is a literal without indexing. It is new with most requests, and an entry for each
  would push out the fields that do repeat;
* secrets are never indexed (RFC 7541 section 7.1.3), so that no other request on the connection
  can be used to guess them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hpack import (
    Decoder,
    Encoder,
    HeaderTuple,
    HPACKError,
    NeverIndexedHeaderTuple,
    OversizedHeaderListError,
)
from hpack.hpack import encode_integer

from txhyper.core.headers import SENSITIVE

__all__ = ["CompressionFailed", "HeaderCoder", "HeaderListTooLarge"]

Field = tuple[bytes, bytes]


class CompressionFailed(Exception):
    """A header block that cannot be decoded: the connection's context is lost with it."""


class HeaderListTooLarge(CompressionFailed):
    """A header block that opens to more than was announced."""


class HeaderCoder:
    """The encoder and the decoder of one connection."""

    __slots__ = ("_decoder", "_encoder")

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        self._encoder = encoder
        self._decoder = decoder

    def request(
        self, method: bytes, scheme: bytes, authority: bytes, path: bytes, fields: Iterable[Field]
    ) -> bytes:
        """
        The block of a request, pseudo-header fields first (RFC 9113 section 8.3.1).

        CONNECT has neither ``:scheme`` nor ``:path`` (RFC 9113 section 8.5).
        """
        if method == b"CONNECT":
            first = [HeaderTuple(b":method", method), HeaderTuple(b":authority", authority)]
            return bytes(self._encoder.encode([*first, *map(_field, fields)]))
        first = [
            HeaderTuple(b":method", method),
            HeaderTuple(b":scheme", scheme),
            HeaderTuple(b":authority", authority),
        ]
        # 4 is the static table's index of the name :path; four bits hold it (RFC 7541 6.2.2).
        literal_path = b"\x04" + bytes(encode_integer(len(path), 7)) + path
        start = self._encoder.encode(first) + literal_path
        return bytes(start + self._encoder.encode(map(_field, fields)))

    def trailers(self, fields: Iterable[Field]) -> bytes:
        """The block of a trailer section."""
        return bytes(self._encoder.encode(map(_field, fields)))

    def decode(self, block: bytes) -> Sequence[Field]:
        """
        The header list of a block.

        :raises HeaderListTooLarge: it is larger than the limit that was announced.
        :raises CompressionFailed: it breaks RFC 7541. Either way the connection must end
            (RFC 9113 section 4.3).
        """
        try:
            return list(self._decoder.decode(block, raw=True))
        except OversizedHeaderListError as error:
            raise HeaderListTooLarge(str(error)) from error
        except (HPACKError, IndexError) as error:
            # IndexError: a literal that ends before its length does.
            raise CompressionFailed(str(error)) from error


def _field(field: Field) -> HeaderTuple:
    """Mark the secrets. A short cookie is as easily guessed as a password."""
    if field[0] in SENSITIVE:
        return NeverIndexedHeaderTuple(*field)
    return HeaderTuple(*field)
