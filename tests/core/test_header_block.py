"""Tests for :mod:`txhyper.core.header_block`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import Fields, law
from txhyper.core.header_block import HeaderBlock, mark
from txhyper.core.headers import (
    FORBIDDEN,
    NO_LENGTH,
    SENSITIVE,
    MalformedHead,
    parse_response,
    parse_trailers,
)

OK = (b":status", b"200")

#: Names that mean something, and names that are wrong.
NAMES = [b":status", b"content-length", b"te", b"a", b"x-y", b"A", b":path", b"", b"a:", b"a\n"]
NAMES += sorted(FORBIDDEN | SENSITIVE)

#: Values that are right for some of them, and values that are right for none.
VALUES = [b"", b"200", b"trailers", b"x", b"a b", b"101", b"099", b"20", b"+1", b"1" * 20]
VALUES += [b" x", b"x ", b"\tx", b"x\t", b" ", b"x\ny", b"\rx", b"x\n", b"\0", b"\xff"]


def block(fields: Fields) -> HeaderBlock:
    """A block with these fields, as the decoder makes it."""
    return HeaderBlock(fields, sum(mark(*field) for field in fields), False)


class HeaderBlockTests(SynchronousTestCase):
    """A list that is known to be good, or else read slowly."""

    def assertSame(self, fields: Fields) -> None:
        """The quick reading and the slow one are of one mind, and of one word."""
        decoded = block(fields)
        try:
            expected = parse_response(fields)
        except MalformedHead as error:
            refused = self.assertRaises(MalformedHead, decoded.response)
            self.assertEqual(str(error), str(refused))
        else:
            head = decoded.response()
            self.assertEqual(
                (expected.status, list(expected.fields), expected.content_length),
                (head.status, list(head.fields), head.content_length),
            )

    def test_every_field(self) -> None:
        """Every name with every value, alone and beside every other place in a list."""
        good = (b"good", b"value")
        for name in NAMES:
            for value in VALUES:
                field = (name, value)
                for fields in ([field], [OK, field], [field, OK], [OK, good, field, good]):
                    self.assertSame(fields)
                self.assertSame([OK, field, field])

    @law
    @given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=6))
    def test_every_list(self, fields: Fields) -> None:
        """Any list that begins with a status."""
        self.assertSame([OK, *fields])

    def test_nothing(self) -> None:
        """An empty list is no response."""
        self.assertSame([])

    def test_content_length(self) -> None:
        """The length is known, whatever stands around it."""
        fields = [OK, (b"set-cookie", b"a"), (b"content-length", b"5"), (b"a", b"b")]
        self.assertEqual(5, block(fields).response().content_length)
        self.assertEqual(NO_LENGTH, block([OK]).response().content_length)

    def test_read_once(self) -> None:
        """A block that comes again has the head that it had."""
        decoded = block([OK])
        self.assertIs(decoded.response(), decoded.response())

    def test_secrets(self) -> None:
        """Secrets are known as such, by their name or because the peer has said so."""
        for name in SENSITIVE:
            self.assertTrue(block([OK, (name, b"x")]).secret)
            self.assertTrue(block([OK, (name, b"x"), (name, b"x")]).secret)
        self.assertFalse(block([OK, (b"a", b"b"), (b"content-length", b"5")]).secret)
        self.assertTrue(HeaderBlock([OK], mark(*OK), True).secret)

    def test_trailers(self) -> None:
        """Trailers are judged by their own rules."""
        self.assertEqual([(b"a", b"b")], list(block([(b"a", b"b")]).trailers()))
        error = self.assertRaises(MalformedHead, block([OK]).trailers)
        expected = self.assertRaises(MalformedHead, parse_trailers, [OK])
        self.assertEqual(str(expected), str(error))
