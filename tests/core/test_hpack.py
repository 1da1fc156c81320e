"""Tests for :mod:`txhyper.core.hpack`."""

from __future__ import annotations

import os
from unittest import mock

from hpack import Decoder, Encoder, HeaderTuple, NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import Blocks, Fields, law
from txhyper.core.headers import MalformedHead
from txhyper.core.hpack import (
    CompressionFailed,
    HeaderCoder,
    HeaderListTooLarge,
    changes_table,
    coder_name,
)

octets = st.binary(max_size=20)
fields_of_any_kind = st.lists(st.tuples(octets, octets), max_size=6)


class HpackCase(SynchronousTestCase):
    """A coder, and another library's decoder at the far end."""

    def setUp(self) -> None:
        """Two ends of one connection."""
        self.coder = HeaderCoder(1000)
        self.peer = Decoder()

    def read(self, block: bytes) -> list[HeaderTuple]:
        """What the peer makes of a block."""
        return list(self.peer.decode(block, raw=True))

    def plain(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """The same, as plain pairs."""
        return [(name, value) for name, value in self.read(block)]


class RequestTests(HpackCase):
    """Blocks that are sent."""

    def test_request(self) -> None:
        """Pseudo-header fields first, then the others, in order (RFC 9113 section 8.3)."""
        block = self.coder.request(
            b"GET", b"https", b"a.test", b"/x?y", [(b"b", b"1"), (b"a", b"2"), (b"b", b"")]
        )
        self.assertEqual(
            [
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", b"a.test"),
                (b":path", b"/x?y"),
                (b"b", b"1"),
                (b"a", b"2"),
                (b"b", b""),
            ],
            self.plain(block),
        )

    def test_connect(self) -> None:
        """CONNECT has neither scheme nor path (section 8.5)."""
        block = self.coder.request(b"CONNECT", b"https", b"a.test:1", b"/", [(b"a", b"b")])
        self.assertEqual(
            [(b":method", b"CONNECT"), (b":authority", b"a.test:1"), (b"a", b"b")],
            self.plain(block),
        )

    def test_trailers(self) -> None:
        """Trailers are fields and no more."""
        fields = [(b"x-sum", b"1"), (b"x-sum", b"2")]
        self.assertEqual(fields, self.plain(self.coder.trailers(fields)))

    def test_paths_are_not_indexed(self) -> None:
        """A thousand paths push nothing out of the table, and never come back from it."""
        for number in range(1000):
            block = self.coder.request(b"GET", b"https", b"a.test", b"/%d" % number, [(b"a", b"b")])
            self.assertEqual((b":path", b"/%d" % number), self.plain(block)[3])
        self.assertEqual(
            [(b"a", b"b"), (b":authority", b"a.test")], list(self.peer.header_table.dynamic_entries)
        )

    def test_repeated_fields_are_indexed(self) -> None:
        """What does repeat is an octet the second time."""
        fields = [(b"user-agent", b"a rather long name of a client"), (b"accept", b"text/html")]
        sizes = [
            len(self.coder.request(b"GET", b"https", b"a.test", b"/", fields)) for _ in range(2)
        ]
        self.assertGreater(sizes[0], 40)
        self.assertEqual(1 + 1 + 1 + 3 + 2, sizes[1])

    def test_secrets_are_never_indexed(self) -> None:
        """And are marked, so that no proxy on the way indexes them (RFC 7541 section 7.1.3)."""
        secrets = [b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"]
        fields: Fields = [(name, b"secret") for name in secrets]
        for block in (
            self.coder.request(b"GET", b"https", b"a.test", b"/", fields),
            self.coder.request(b"CONNECT", b"https", b"a.test", b"/", fields),
            self.coder.trailers(fields),
        ):
            last = self.read(block)[-4:]
            self.assertEqual(fields, [(name, value) for name, value in last])
            self.assertEqual([NeverIndexedHeaderTuple] * 4, list(map(type, last)))
        self.assertNotIn(b"secret", b"".join(v for _, v in self.peer.header_table.dynamic_entries))

    def test_long_paths(self) -> None:
        """A path may be longer than its first length octet can say."""
        for length in (126, 127, 128, 254, 255, 5000):
            path = b"/" * length
            block = self.coder.request(b"GET", b"https", b"a.test", path, [])
            self.assertEqual((b":path", path), self.plain(block)[3])


class DecodeTests(HpackCase):
    """Blocks that are received."""

    def test_decode(self) -> None:
        """Fields come out as octets, in order, across the blocks of a connection."""
        peer = Blocks()
        for fields in ([(b":status", b"200"), (b"a", b"\xff\0")], [(b"a", b"\xff\0")], []):
            self.assertEqual(fields, self.coder.decode(peer.block(fields)).fields)

    def test_too_large(self) -> None:
        """A list larger than was announced has an error of its own."""
        block = Blocks().block([(b"a", b"x" * 968)])
        self.assertRaises(HeaderListTooLarge, self.coder.decode, block)

    def test_bomb(self) -> None:
        """A block of a few octets that opens to many is stopped at the limit."""
        peer = Blocks()
        self.coder.decode(peer.block([(b"a", b"x" * 900)]))
        self.assertRaises(HeaderListTooLarge, self.coder.decode, b"\xbe" * 1000)

    def test_many_small_fields(self) -> None:
        """Each field counts 32 octets more than it has, so that none comes for nothing."""
        self.assertRaises(HeaderListTooLarge, self.coder.decode, b"\x40\x01a\x00" + b"\xbe" * 31)

    def test_broken(self) -> None:
        """What breaks RFC 7541 breaks the connection's context, whatever it is."""
        for block in (
            b"\xff",  # an index that does not end
            b"\xff" * 20,  # nor ever will
            b"\x80",  # the index 0
            b"\xc0",  # an index that nobody has filled
            b"\x40",  # a literal without a name
            b"\x40\x05abc",  # a name that is cut off
            b"\x40\x01a",  # a name without a value
            b"\x40\x01a\x05abc",  # a value that is cut off
            b"\x40\x01a\x81\x00",  # bad padding of a Huffman code
            b"\x40\x01a\x84\xff\xff\xff\xff",  # EOS in it
            b"\x3f\xe2\x1f",  # a table larger than was allowed
            b"\x88\x20",  # a size update after a field
        ):
            self.setUp()
            error = self.assertRaises(CompressionFailed, self.coder.decode, block)
            self.assertNotIsInstance(error, HeaderListTooLarge)

    @law
    @given(st.binary(max_size=40))
    def test_any_octets(self, block: bytes) -> None:
        """Whatever a peer sends is a header list or a failure, and nothing else."""
        coder = HeaderCoder(1 << 20)
        try:
            for name, value in coder.decode(block).fields:
                self.assertIsInstance(name + value, bytes)
        except CompressionFailed as error:
            self.assertTrue(str(error))


class PurePythonRequestTests(RequestTests):
    """The same blocks where libnghttp2 is refused."""

    def setUp(self) -> None:
        """Refuse it."""
        patch = mock.patch.dict(os.environ, {"TXHYPER_HPACK": "python"})
        patch.start()
        self.addCleanup(patch.stop)
        super().setUp()

    def test_name(self) -> None:
        """People are told who encodes."""
        self.assertTrue(coder_name().startswith("hpack "))


class EveryRequestTests(SynchronousTestCase):
    """Any fields at all."""

    @law
    @given(
        st.booleans(),
        st.lists(st.tuples(octets, st.sampled_from([0, 60, 4096]), fields_of_any_kind)),
    )
    def test_every_request(self, pure: bool, requests: list[tuple[bytes, int, Fields]]) -> None:
        """Whatever is said, with tables of whatever size, the peer reads the same."""
        with mock.patch.dict(os.environ, {"TXHYPER_HPACK": "python"} if pure else {}):
            coder, peer = HeaderCoder(1 << 20), Decoder()
        for path, size, fields in requests:
            coder.header_table_size = size
            self.assertEqual(size, coder.header_table_size)
            block = coder.request(b"GET", b"https", b"a.test", path, fields)
            read = [(name, value) for name, value in peer.decode(block, raw=True)]
            self.assertEqual((b":path", path), read[3])
            self.assertEqual(list(fields), read[4:])


class WithLibraryTests(SynchronousTestCase):
    """The name where libnghttp2 is there."""

    def test_name(self) -> None:
        """People are told who encodes."""
        library = mock.Mock(version="1.2.3")
        with mock.patch("txhyper.core.hpack.load", return_value=library):
            self.assertEqual("libnghttp2 1.2.3", coder_name())

    def test_used(self) -> None:
        """A library that is there encodes."""
        library, deflater = mock.Mock(), mock.Mock()
        deflater.return_value.encode.return_value = b"\x82"
        with (
            mock.patch("txhyper.core.hpack.load", return_value=library),
            mock.patch("txhyper.core.hpack.Deflater", deflater),
        ):
            coder = HeaderCoder(1000)
        self.assertEqual(b"\x82\x04\x01/", coder.request(b"GET", b"https", b"a", b"/", []))


class CountingEncoder:
    """An encoder that counts how often it is asked."""

    def __init__(self, coder: HeaderCoder) -> None:
        self._inner = coder._encoder
        coder._encoder = self  # type: ignore[assignment]
        self.header_table_size = 4096
        self.calls = 0

    def encode(self, fields: Fields) -> bytes:
        """Count, and encode."""
        self.calls += 1
        return self._inner.encode(fields)


class MemoryTests(HpackCase):
    """Blocks that came before."""

    def setUp(self) -> None:
        """Count."""
        super().setUp()
        self.encoder = CountingEncoder(self.coder)

    def send(self, fields: Fields, path: bytes = b"/") -> int:
        """Send a request that the peer reads as it was meant. :return: calls of the encoder."""
        before = self.encoder.calls
        block = self.coder.request(b"GET", b"https", b"a.test", path, fields)
        read = self.plain(block)
        self.assertEqual((b":path", path), read[3])
        self.assertEqual(list(fields), read[4:])
        return self.encoder.calls - before

    def test_remembered(self) -> None:
        """From the third time on, whatever the path, nothing is encoded."""
        fields = [(b"accept", b"text/html")]
        self.assertEqual([2, 2, 0, 0], [self.send(fields, b"/%d" % n) for n in range(4)])

    def test_insertionForgets(self) -> None:
        """Another request's new field makes what was remembered void."""
        one, two = [(b"accept", b"text/html")], [(b"accept", b"text/plain")]
        for fields in (one, one, two):
            self.send(fields)
        self.assertEqual([2, 2, 0, 0], [self.send(f) for f in (one, two, one, two)])

    def test_trailersForget(self) -> None:
        """Likewise for what stands in trailers."""
        for _ in range(2):
            self.send([])
        self.assertEqual(0, self.send([]))
        self.read(self.coder.trailers([(b"x-sum", b"1")]))
        self.assertEqual(1, self.send([]))
        self.read(self.coder.trailers([(b"x-sum", b"1")]))
        self.assertEqual(0, self.send([]))

    def test_longPaths(self) -> None:
        """A path longer than one octet of length can say."""
        for length in (126, 127, 128, 254, 255, 256, 16510, 16511, 40000):
            self.send([], b"/" * length)

    def test_resizeForgets(self) -> None:
        """A smaller table makes it void; the same size again does not."""
        for _ in range(3):
            self.send([])
        self.coder.header_table_size = 1 << 20
        self.assertEqual(0, self.send([]))
        self.coder.header_table_size = 50
        self.assertEqual(1, self.send([]))

    def test_secretsAreNotRemembered(self) -> None:
        """A request with a secret is encoded each time."""
        fields = [(b"authorization", b"secret")]
        self.assertEqual([2, 2, 2], [self.send(fields) for _ in range(3)])

    def test_boundedInOctets(self) -> None:
        """A request that is very long is encoded each time."""
        fields = [(b"x", b"y" * 2000)]
        self.assertEqual([2, 2, 2], [self.send(fields) for _ in range(3)])

    def test_boundedInNumber(self) -> None:
        """More different requests than are remembered do not pile up."""
        with mock.patch("txhyper.core.hpack.REMEMBERED_BLOCKS", 2):
            for scheme in (b"https", b"http", b"https"):
                for method in (b"GET", b"POST"):
                    for _ in range(2):
                        self.coder.request(method, scheme, b"a.test", b"/", [])
                    self.assertLessEqual(len(self.coder._written), 2)

    def test_responsesAreRemembered(self) -> None:
        """The same octets are the same head, until the table changes."""
        peer = Blocks()
        first = peer.block([(b":status", b"200"), (b"a", b"b")])
        again = peer.block([(b":status", b"200"), (b"a", b"b")])
        self.coder.decode(first)
        head = self.coder.decode(again).response()
        self.assertIs(head, self.coder.decode(again).response())
        self.coder.decode(peer.block([(b":status", b"200"), (b"c", b"d")]))
        other = self.coder.decode(again).response()
        self.assertEqual([(b"c", b"d")], list(other.fields))

    def test_secretResponsesAreNot(self) -> None:
        """A block with a never-indexed field, or a very long one, is decoded each time."""
        for block in (b"\x88\x10\x01a\x01b", b"\x88\x00\x01a\x7f\x81\x0f" + b"b" * 2048):
            coder = HeaderCoder(1 << 20)
            self.assertIsNot(coder.decode(block), coder.decode(block))

    def test_responsesAreBounded(self) -> None:
        """A thousand different blocks do not pile up."""
        for number in range(1000):
            self.coder.decode(b"\x88\x00\x01a\x03%03d" % number)
        self.assertLessEqual(len(self.coder._read), 256)

    @law
    @given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 2)), max_size=40))
    def test_sessions(self, steps: list[tuple[int, bool, int]]) -> None:
        """Whatever comes again, after whatever changes, means what it meant to hpack."""
        coder, encoder, oracle = HeaderCoder(1 << 20), Encoder(), Decoder()
        for value, fresh, size in steps:
            if fresh:
                encoder.header_table_size = (0, 100, 4096)[size]
            fields = [(b":status", b"200"), (b"x-%d" % value, b"%d" % size)]
            block = encoder.encode(fields)
            expected = [(n, v) for n, v in oracle.decode(block, raw=True)]
            self.assertEqual(expected, list(coder.decode(block).fields))


class ChangesTableTests(SynchronousTestCase):
    """Reading our own blocks for what they do to the table."""

    @law
    @given(
        st.lists(
            st.tuples(st.binary(max_size=300), st.binary(max_size=300), st.booleans()), max_size=5
        )
    )
    def test_oracle(self, fields: list[tuple[bytes, bytes, bool]]) -> None:
        """A block changes the table exactly if hpack's table has changed."""
        encoder = Encoder()
        for _ in range(2):
            before = list(encoder.header_table.dynamic_entries)
            block = encoder.encode(
                [(NeverIndexedHeaderTuple if s else HeaderTuple)(n, v) for n, v, s in fields]
            )
            if before != list(encoder.header_table.dynamic_entries):
                self.assertTrue(changes_table(block))
            if all(secret for _, _, secret in fields):
                self.assertFalse(changes_table(block))

    def test_indexed(self) -> None:
        """Indexed fields change nothing, with indexes of one octet and of more."""
        self.assertFalse(changes_table(b"\x82\xff\x80\x01\x82"))
        self.assertFalse(changes_table(b"\x04\x01/\x0f\x2f\x01b"))
        self.assertFalse(changes_table(b"\x00\x01a\x7f\x81\x00" + b"b" * 128))
        self.assertTrue(changes_table(b"\x00\x01a\x7f\x81\x00" + b"b" * 128 + b"\x40\x01a\x01b"))
        self.assertTrue(changes_table(b"\x82\x40\x01a\x01b"))
        self.assertTrue(changes_table(b"\x20"))


class HeadTests(SynchronousTestCase):
    """What a block's marks say, against the slow reading."""

    @law
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(
                    [b":status", b"content-length", b"te", b"a", b"A", b":path", b"", b"set-cookie"]
                ),
                st.sampled_from([b"200", b"204", b"101", b"99", b"+1", b"", b" x", b"x\n", b"5"]),
            ),
            max_size=5,
        )
    )
    def test_sameAsTheSlowReading(self, fields: list[tuple[bytes, bytes]]) -> None:
        """A head is accepted with the same outcome, or refused with the same words."""
        from txhyper.core.headers import parse_response

        decoded = HeaderCoder(1 << 20).decode(Encoder().encode(fields))
        try:
            expected = parse_response(fields)
        except MalformedHead as error:
            with self.assertRaises(MalformedHead) as caught:
                decoded.response()
            self.assertEqual(str(error), str(caught.exception))
        else:
            head = decoded.response()
            self.assertEqual(
                (expected.status, list(expected.fields), expected.content_length),
                (head.status, list(head.fields), head.content_length),
            )
