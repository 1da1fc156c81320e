"""Tests for :mod:`txhyper.core.decoder`: hpack's decoder is its oracle."""

from __future__ import annotations

from hpack import Decoder as Oracle
from hpack import Encoder, HeaderTuple, HPACKError, NeverIndexedHeaderTuple
from hpack.exceptions import OversizedHeaderListError
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import law
from txhyper.core.decoder import CompressionFailed, Decoder, HeaderListTooLarge

names = st.sampled_from([b":status", b"date", b"x-id", b"server", b"set-cookie", b"", b"x" * 70])
values = st.one_of(st.sampled_from([b"", b"200", b"abc"]), st.binary(max_size=90))
field_lists = st.lists(st.tuples(names, values, st.booleans()), max_size=8)


def pairs(fields: object) -> list[tuple[bytes, bytes]]:
    """Fields of either decoder, as plain pairs."""
    return [(bytes(name), bytes(value)) for name, value in fields]  # type: ignore[attr-defined]


class OracleTests(SynchronousTestCase):
    """What hpack makes of the same octets."""

    @law
    @given(
        st.lists(
            st.tuples(field_lists, st.booleans(), st.sampled_from([None, 0, 60, 300, 4096])),
            max_size=20,
        )
    )
    def test_sessions(
        self, blocks: list[tuple[list[tuple[bytes, bytes, bool]], bool, int | None]]
    ) -> None:
        """A long session, with table size changes, Huffman or not: block for block the same."""
        encoder, oracle, decoder = Encoder(), Oracle(1 << 20), Decoder(1 << 20)
        for fields, huffman, size in blocks:
            if size is not None:
                encoder.header_table_size = size
            block = encoder.encode(
                [
                    NeverIndexedHeaderTuple(n, v) if secret else HeaderTuple(n, v)
                    for n, v, secret in fields
                ],
                huffman=huffman,
            )
            expected = pairs(oracle.decode(block, raw=True))
            self.assertEqual(expected, pairs(decoder.decode(block).fields))
            self.assertEqual(oracle.header_table_size, decoder.max_table_size)

    @law
    @given(st.lists(st.binary(max_size=30), max_size=6))
    def test_anyOctets(self, blocks: list[bytes]) -> None:
        """Octets that nobody encoded: the same fields, or refused by both."""
        oracle, decoder = Oracle(1 << 20), Decoder(1 << 20)
        for block in blocks:
            try:
                expected = pairs(oracle.decode(block, raw=True))
            except HPACKError:
                with self.assertRaises(CompressionFailed):
                    decoder.decode(block)
                return
            self.assertEqual(expected, pairs(decoder.decode(block).fields))

    @law
    @given(field_lists, st.integers(0, 400))
    def test_listSize(self, fields: list[tuple[bytes, bytes, bool]], limit: int) -> None:
        """The limit of the list's size falls at the same octet."""
        block = Encoder().encode([(n, v) for n, v, _ in fields])
        oracle, decoder = Oracle(limit), Decoder(limit)
        try:
            expected = pairs(oracle.decode(block, raw=True))
        except OversizedHeaderListError:
            with self.assertRaises(HeaderListTooLarge):
                decoder.decode(block)
        else:
            self.assertEqual(expected, pairs(decoder.decode(block).fields))


class RefusedTests(SynchronousTestCase):
    """What breaks RFC 7541, by name."""

    def refused(self, block: bytes, word: str, prepare: bytes = b"") -> None:
        """The block is refused, and the reason has a word in it."""
        decoder = Decoder(1000)
        decoder.decode(prepare)
        with self.assertRaises(CompressionFailed) as caught:
            decoder.decode(block)
        self.assertIn(word, str(caught.exception))

    def test_indexZero(self) -> None:
        """Index 0 is not used (section 6.1)."""
        self.refused(b"\x80", "index 0")

    def test_indexBeyondTheTable(self) -> None:
        """An index that nothing stands at, indexed and as a literal's name."""
        self.refused(b"\xbe", "index 62")
        self.refused(b"\xff\x80\x01", "index 255")
        self.refused(b"\x7f\x00\x01a", "index 63", prepare=b"\x40\x01a\x01b")

    def test_truncated(self) -> None:
        """A block that ends within a field: its integer, its string, before its value."""
        for block in (b"\xff", b"\x40\x05ab", b"\x40\x01a", b"\x44", b"\x40"):
            self.refused(block, "ends within")

    def test_integerTooLarge(self) -> None:
        """An integer that would grow without end, in value or in octets."""
        self.refused(b"\xff\xff\xff\xff\xff\x7f", "integer")
        self.refused(b"\xff" + b"\x80" * 10 + b"\x01", "integer")

    def test_tableSizeAboveWhatWasAnnounced(self) -> None:
        """The peer's table may be smaller than HEADER_TABLE_SIZE, and not larger (4.2)."""
        self.refused(b"\x3f\xe2\x1f", "HEADER_TABLE_SIZE 4096")

    def test_tableSizeAfterAField(self) -> None:
        """A table size update stands before all fields (4.2)."""
        self.refused(b"\x88\x20", "after the first field")

    def test_tableNotShrunk(self) -> None:
        """A table that was announced smaller has to be shrunk by the peer (4.2)."""
        decoder = Decoder(1000)
        decoder.max_allowed_table_size = 100
        with self.assertRaises(CompressionFailed):
            decoder.decode(b"\x88")
        self.assertEqual(200, Decoder(1000).decode(b"\x88").response().status)

    def test_huffman(self) -> None:
        """A Huffman-coded string that is none."""
        self.refused(b"\x40\x81\x00\x00", "within a symbol")


class TableTests(SynchronousTestCase):
    """The dynamic table (section 2.3.2)."""

    def test_changes(self) -> None:
        """Insertions and resizes are counted, look-ups and literals are not."""
        decoder = Decoder(1000)
        for block, changes in [
            (b"\x88", 0),
            (b"\x00\x01a\x01b", 0),
            (b"\x40\x01a\x01b", 1),
            (b"\xbe", 1),
            (b"\x20", 2),
        ]:
            decoder.decode(block)
            self.assertEqual(changes, decoder.changes)

    def test_eviction(self) -> None:
        """Entries make room for newer ones; one that is larger than the table empties it (4.4)."""
        decoder = Decoder(100_000)
        for number in range(200):
            decoder.decode(b"\x40\x01a\x03%03d" % number)
        self.assertEqual([(b"a", b"199")], pairs(decoder.decode(b"\xbe").fields))
        # 113 entries of 36 octets fit into 4096.
        self.assertEqual([(b"a", b"087")], pairs(decoder.decode(b"\xff\x2f").fields))
        decoder.decode(b"\x40\x01a\x7f\xa1\x1f" + b"x" * 4128)
        with self.assertRaises(CompressionFailed):
            decoder.decode(b"\xbe")

    def literal(self, name: bytes, value: bytes, never: bool = False) -> bytes:
        """A literal without indexing, Huffman-coded (section 6.2.2), or never indexed (6.2.3)."""
        block = bytearray(Encoder().encode([NeverIndexedHeaderTuple(name, value)]))
        if not never:
            block[0] &= 0xEF
        return bytes(block)

    def test_stringsAreRememberedWithinBounds(self) -> None:
        """Strings that come again are the same object; a thousand new ones do not pile up."""
        decoder = Decoder(100_000)
        first = self.literal(b"a", b"some text to come again")
        one = decoder.decode(first).fields[0][1]
        self.assertIs(one, decoder.decode(first).fields[0][1])
        for number in range(1000):
            decoder.decode(self.literal(b"a", b"text %d" % number))
        self.assertLessEqual(len(decoder._strings), 256)
        self.assertIsNot(one, decoder.decode(first).fields[0][1])

    def test_secretsAreNotRemembered(self) -> None:
        """What was never to be indexed, or is a cookie, is kept nowhere."""
        decoder = Decoder(100_000)
        decoder.decode(self.literal(b"a", b"topsecret", never=True))
        decoder.decode(self.literal(b"set-cookie", b"topsecret"))
        self.assertNotIn(b"topsecret", decoder._strings.values())

    def test_secrets(self) -> None:
        """A never-indexed field and a cookie mark their block."""
        decoder = Decoder(1000)
        self.assertTrue(decoder.decode(b"\x10\x01a\x01b").secret)
        self.assertTrue(decoder.decode(b"\x00\x0aset-cookie\x01b").secret)
        self.assertFalse(decoder.decode(b"\x00\x01a\x01b").secret)
