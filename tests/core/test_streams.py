"""Tests for :mod:`txhyper.core.streams`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import law
from txhyper.core.headers import NO_LENGTH, MalformedHead, ResponseHead
from txhyper.core.streams import AWAITING_HEAD, ENDED, READING_BODY, UNBOUNDED, Stream


def stream(method: bytes = b"GET") -> Stream:
    """A stream whose request has been sent."""
    return Stream(1, "owner", method, 1000, False)


def head(status: int = 200, length: int = NO_LENGTH) -> ResponseHead:
    """A response's head."""
    return ResponseHead(status, [], length)


class StreamTests(SynchronousTestCase):
    """What the peer owes on one stream (RFC 9113 sections 5.1 and 8.1)."""

    def test_beginning(self) -> None:
        """A new stream waits for a head, and makes nothing that it does not need yet."""
        new = Stream(7, "owner", b"POST", 1000, True)
        self.assertEqual((7, "owner", b"POST", 1000), (new.id, new.owner, new.method, 1000))
        self.assertEqual((True, AWAITING_HEAD, False), (new.sending, new.receiving, new.closed))
        self.assertEqual((0, 0, UNBOUNDED), (new.send_credit, new.informational, new.remaining))
        self.assertEqual((None, None, None), (new.content_length, new.manager, new.outbound))

    def test_a_whole_response(self) -> None:
        """Head, content, end."""
        one = stream()
        one.received_head(head(), False)
        self.assertEqual(READING_BODY, one.receiving)
        one.received_data(10, False)
        one.received_data(0, True)
        self.assertEqual(ENDED, one.receiving)

    def test_head_only(self) -> None:
        """A response may end with its head."""
        one = stream()
        one.received_head(head(), True)
        self.assertEqual(ENDED, one.receiving)

    def test_informational(self) -> None:
        """1xx is counted and changes nothing; the final head is still to come."""
        one = stream()
        one.received_head(head(100), False)
        one.received_head(head(103, 5), False)
        self.assertEqual((AWAITING_HEAD, 2), (one.receiving, one.informational))
        self.assertEqual((UNBOUNDED, None), (one.remaining, one.content_length))

    def test_informational_end(self) -> None:
        """1xx does not end a stream (section 8.1)."""
        error = self.assertRaises(MalformedHead, stream().received_head, head(103), True)
        self.assertEqual("END_STREAM with the informational status 103", str(error))

    def test_content_before_head(self) -> None:
        """Content needs a head before it, and an informational one is not enough."""
        one = stream()
        self.assertRaises(MalformedHead, one.received_data, 0, False)
        one.received_head(head(100), False)
        self.assertRaises(MalformedHead, one.received_data, 0, True)

    def test_end_before_head(self) -> None:
        """So does the end."""
        self.assertRaises(MalformedHead, stream().received_end)

    def test_content_length(self) -> None:
        """Content is as long as its head has said (section 8.1.1)."""
        one = stream()
        one.received_head(head(length=10), False)
        self.assertEqual((10, 10), (one.content_length, one.remaining))
        one.received_data(4, False)
        self.assertEqual((10, 6), (one.content_length, one.remaining))
        one.received_data(6, True)
        self.assertEqual(ENDED, one.receiving)

    def test_too_long(self) -> None:
        """One octet more is malformed, whether it ends the stream or not."""
        for end in (False, True):
            one = stream()
            one.received_head(head(length=10), False)
            error = self.assertRaises(MalformedHead, one.received_data, 11, end)
            self.assertEqual("11 octets of content where 10 were still to come", str(error))

    def test_too_short(self) -> None:
        """One octet less is malformed: with its last content, with its head, or alone."""
        one = stream()
        one.received_head(head(length=10), False)
        error = self.assertRaises(MalformedHead, one.received_data, 9, True)
        self.assertEqual("the stream ends 1 octets before its content-length", str(error))
        self.assertRaises(MalformedHead, stream().received_head, head(length=1), True)
        two = stream()
        two.received_head(head(length=1), False)
        self.assertRaises(MalformedHead, two.received_end)

    def test_no_content(self) -> None:
        """HEAD, 204 and 304 have no content, whatever their content-length speaks of."""
        for method, status in ((b"HEAD", 200), (b"GET", 204), (b"GET", 304)):
            one = stream(method)
            one.received_head(head(status, 10), True)
            self.assertEqual((ENDED, None), (one.receiving, one.content_length))
            two = stream(method)
            two.received_head(head(status, 10), False)
            self.assertRaises(MalformedHead, two.received_data, 1, False)
            two.received_data(0, True)

    def test_tunnel(self) -> None:
        """The content-length of a tunnel is ignored, that of a refusal is not."""
        one = stream(b"CONNECT")
        one.received_head(head(200, 1), False)
        one.received_data(100, False)
        self.assertIsNone(one.content_length)
        two = stream(b"CONNECT")
        two.received_head(head(407, 1), False)
        self.assertRaises(MalformedHead, two.received_data, 2, False)

    @law
    @given(st.lists(st.integers(0, 5), max_size=8), st.none() | st.integers(0, 20))
    def test_complete_or_an_error(self, sizes: list[int], length: int | None) -> None:
        """A body ends well exactly if it is as long as was announced, or nothing was."""
        one = stream()
        one.received_head(head(length=NO_LENGTH if length is None else length), False)
        try:
            for size in sizes:
                one.received_data(size, False)
            one.received_end()
            complete = True
        except MalformedHead:
            complete = False
        self.assertEqual(length is None or sum(sizes) == length, complete)
        self.assertEqual(complete, one.receiving == ENDED)
