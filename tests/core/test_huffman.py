"""Tests for :mod:`txhyper.core.huffman`."""

from __future__ import annotations

from hpack.exceptions import HPACKDecodingError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import law
from txhyper.core.huffman import InvalidString, decode

encoder = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


class HuffmanTests(SynchronousTestCase):
    """Strings of RFC 7541 section 5.2."""

    def test_example(self) -> None:
        """The RFC's own example (RFC 7541 appendix C.4.1)."""
        self.assertEqual(b"www.example.com", decode(bytes.fromhex("f1e3c2e5f23a6ba0ab90f4ff")))

    @law
    @given(st.binary(max_size=200))
    def test_roundTrip(self, text: bytes) -> None:
        """Every string comes back as it was."""
        self.assertEqual(text, decode(encoder.encode(text)))

    @law
    @given(st.binary(max_size=40))
    def test_oracle(self, octets: bytes) -> None:
        """Any octets at all mean what hpack says, or are refused by both."""
        try:
            expected = decode_huffman(octets)
        except HPACKDecodingError:
            with self.assertRaises(InvalidString):
                decode(octets)
        else:
            self.assertEqual(expected, decode(octets))

    def test_padding(self) -> None:
        """Padding is less than an octet, and of ones only."""
        for octets in (b"\xff", b"\x1f\xff", b"\x18"):
            with self.assertRaises(InvalidString):
                decode(octets)

    def test_endOfString(self) -> None:
        """The end of string is never sent whole."""
        with self.assertRaises(InvalidString) as caught:
            decode(b"\xff\xff\xff\xff")
        self.assertIn("end of string", str(caught.exception))
