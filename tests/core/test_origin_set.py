"""Tests for :mod:`txhyper.core.origin_set`, and for ORIGIN frames on their way to it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core import wire
from tests.core.wire import Conversation, frame, law, origin_frame, seen
from txhyper.core import facts
from txhyper.core.bounds import Bounds
from txhyper.core.origin_set import grown, normal_origin

A, B, C = b"https://a.test", b"https://b.test", b"https://c.test"


def entries(*origins: bytes) -> bytes:
    """The payload of an ORIGIN frame."""
    return origin_frame(*origins)[9:]


class NormalOriginTests(SynchronousTestCase):
    """What counts as an origin, and how it is written (RFC 6454 section 6.2)."""

    def test_one_way_to_write_it(self) -> None:
        """Case and the default port make no difference; any other port does."""
        for given_, expected in [
            (b"https://a.test", b"https://a.test"),
            (b"HTTPS://A.Test:443", b"https://a.test"),
            (b"https://a.test:0443", b"https://a.test"),
            (b"https://a.test:80", b"https://a.test:80"),
            (b"http://a.test:80", b"http://a.test"),
            (b"http://a.test:443", b"http://a.test:443"),
            (b"https://xn--bcher-kva.test:8443", b"https://xn--bcher-kva.test:8443"),
            (b"https://192.0.2.1", b"https://192.0.2.1"),
            (b"https://[2001:DB8::1]:65535", b"https://[2001:db8::1]:65535"),
            (b"https://a_b.test.", b"https://a_b.test."),
        ]:
            self.assertEqual(expected, normal_origin(given_))

    def test_what_is_none(self) -> None:
        """
        A URL, a wildcard, an opaque origin, a port out of range, anything that could be read in
        two ways: none of them is an origin.
        """
        for text in [
            b"",
            b"null",
            b"a.test",
            b"//a.test",
            b"https:a.test",
            b"https://",
            b"https://a.test/",
            b"https://a.test?",
            b"https://user@a.test",
            b"https://*.a.test",
            b"https://a..test",
            b"https://.a.test",
            b"https://a.test:",
            b"https://a.test:0",
            b"https://a.test:65536",
            b"https://a.test:+1",
            b"https://a.test\n",
            b" https://a.test",
            b"https://a.test, https://b.test",
            b"https://2001:db8::1",
            b"https://b\xc3\xbccher.test",
            b"ftp://a.test",
            b"https://a.test\0.b.test",
        ]:
            self.assertIsNone(normal_origin(text), text)

    @law
    @given(st.binary(max_size=40) | st.from_regex(rb"https?://[a-zA-Z.:0-9\[\]-]{0,20}"))
    def test_written_once(self, text: bytes) -> None:
        """What has been normalised stays as it is, and is lower-case ASCII."""
        origin = normal_origin(text)
        if origin is not None:
            self.assertEqual(origin, normal_origin(origin))
            self.assertEqual(origin, origin.decode("ascii").lower().encode())


class GrownTests(SynchronousTestCase):
    """A set, and one more frame."""

    def setUp(self) -> None:
        self.bounds = Bounds(origin_set_entries=3, origin_set_octets=100)

    def test_grows(self) -> None:
        """Frames add up."""
        known = grown(None, entries(A, B), self.bounds)
        self.assertEqual({A, B}, known)
        self.assertEqual({A, B, C}, grown(known, entries(B, C), self.bounds))

    def test_an_empty_frame_begins_it(self) -> None:
        """So a server says that its connection is for one origin alone (appendix B)."""
        self.assertEqual(frozenset(), grown(None, b"", self.bounds))

    def test_what_is_no_origin_is_left_out(self) -> None:
        """The entries beside it count (section 2.2)."""
        self.assertEqual({A}, grown(None, entries(b"null", A, b""), self.bounds))
        self.assertEqual(frozenset(), grown(None, entries(b"nonsense"), self.bounds))

    def test_nothing_new(self) -> None:
        """The same set is the same object."""
        known = frozenset({A})
        self.assertIs(known, grown(known, b"", self.bounds))
        self.assertIs(known, grown(known, entries(b"https://A.test:443"), self.bounds))

    def test_a_frame_that_does_not_add_up(self) -> None:
        """It counts as none, wherever it is cut off."""
        whole = entries(B, C)
        for length in range(1, len(whole)):
            if length != len(entries(B)):
                self.assertIsNone(grown(None, whole[:length], self.bounds))
                known = frozenset({A})
                self.assertIs(known, grown(known, whole[:length], self.bounds))

    def test_entries_are_bounded(self) -> None:
        """The first ones are taken; those that are known, or no origins, use no room."""
        many = [b"https://%d.test" % number for number in range(5)]
        known = grown(None, entries(many[0], b"null", many[0], *many), self.bounds)
        self.assertEqual(set(many[:3]), known)
        self.assertIs(known, grown(known, entries(*many), self.bounds))

    def test_octets_are_bounded(self) -> None:
        """An origin that does not fit any more is not taken, in this frame or a later one."""
        long = b"https://" + b"x" * 90
        self.assertEqual(frozenset(), grown(None, entries(long + b".test"), self.bounds))
        known = grown(None, entries(A, long), self.bounds)
        self.assertEqual({A}, known)
        self.assertIs(known, grown(known, entries(long), self.bounds))
        exact = Bounds(origin_set_octets=len(A) + len(B))
        self.assertEqual({A, B}, grown(None, entries(A, B, C), exact))

    def test_no_room_at_all(self) -> None:
        """A client may want none of it, and knows all the same that a frame came."""
        self.assertEqual(frozenset(), grown(None, entries(A), Bounds(origin_set_entries=0)))

    @law
    @given(st.lists(st.binary(max_size=80), max_size=4))
    def test_always_within(self, payloads: list[bytes]) -> None:
        """Whatever comes, nothing is raised, and nothing that was in the set leaves it."""
        known: frozenset[bytes] | None = None
        for payload in payloads:
            after = grown(known, payload, self.bounds)
            self.assertLessEqual(known or frozenset(), after or frozenset())
            known = after
        self.assertLessEqual(len(known or ()), 3)
        self.assertLessEqual(sum(map(len, known or ())), 100)


class FrameTests(SynchronousTestCase):
    """ORIGIN frames on a connection (RFC 8336 section 2.2)."""

    def setUp(self) -> None:
        self.conversation = Conversation()
        self.engine = self.conversation.engine

    def test_told_when_it_changes(self) -> None:
        """The set is None at first; a fact comes with each change, and with nothing else."""
        self.assertIsNone(self.engine.origin_set)
        told = self.conversation.hear(origin_frame(B))
        self.assertEqual([(facts.ANNOUNCED, None, {B}, 0)], seen(told))
        self.assertEqual([], self.conversation.hear(origin_frame(B)))
        told = self.conversation.hear(origin_frame(C) + origin_frame())
        self.assertEqual([(facts.ANNOUNCED, None, {B, C}, 0)], seen(told))
        self.assertEqual({B, C}, self.engine.origin_set)
        self.assertEqual([], self.conversation.said())

    def test_flags(self) -> None:
        """One of the first four is of a future that is not understood; the others mean nothing."""
        for flag in (0x1, 0x2, 0x4, 0x8, 0xFF):
            self.assertEqual([], self.conversation.hear(origin_frame(B, flags=flag)))
            self.assertIsNone(self.engine.origin_set)
        self.conversation.hear(origin_frame(B, flags=0xF0))
        self.assertEqual({B}, self.engine.origin_set)

    def test_on_a_stream(self) -> None:
        """It is ignored, whether the stream is open, idle or the server's."""
        self.conversation.open()
        for stream_id in (1, 2, 3):
            self.assertEqual([], self.conversation.hear(origin_frame(B, stream_id=stream_id)))
        self.assertIsNone(self.engine.origin_set)
        self.assertEqual([], self.conversation.said())

    def test_malformed(self) -> None:
        """It is ignored, and the connection lives."""
        self.assertEqual([], self.conversation.hear(frame(wire.ORIGIN, 0, 0, b"\0")))
        self.assertEqual([], self.conversation.hear(frame(wire.ORIGIN, 0, 0, b"\xff\xffhttps")))
        self.assertIsNone(self.engine.origin_set)
        self.assertEqual([], self.conversation.said())

    def test_the_connections_bounds(self) -> None:
        """The limits are those that the connection was given."""
        conversation = Conversation(bounds=Bounds(origin_set_entries=1))
        conversation.hear(origin_frame(B, C))
        self.assertEqual({B}, conversation.engine.origin_set)

    def test_trace(self) -> None:
        """One line shows what came, taken or not."""
        lines: list[str] = []
        conversation = Conversation(trace=lines.append)
        del lines[:]
        conversation.hear(origin_frame(B, b"\n") + frame(wire.ORIGIN, 1, 3, b"\0"))
        self.assertEqual(
            [
                r"received ORIGIN stream=0 length=19 origins=[b'https://b.test', b'\n']",
                "received ORIGIN stream=3 length=1",
            ],
            lines,
        )
