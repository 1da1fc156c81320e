"""Tests for :mod:`txhyper.core.connect`: CONNECT, and what a proxy of HTTP/1.1 says to it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txhyper.core.connect import LARGEST_HEAD, HTTPConnect, authority_of
from txhyper.errors import NegotiationFailed, TunnelRefused

OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"


def made(fields: list[tuple[bytes, bytes]] | None = None) -> HTTPConnect:
    """A CONNECT that has been sent."""
    connect = HTTPConnect("http://p.test:80", b"a.test", 443, fields or [])
    connect.begin()
    return connect


class RequestTests(SynchronousTestCase):
    """What is sent."""

    def test_request(self) -> None:
        """The target is host and port, always both, and Host is the same; then the fields."""
        for host, port, target in [
            (b"a.test", 443, b"a.test:443"),
            (b"a.test", 80, b"a.test:80"),
            (b"192.0.2.1", 22, b"192.0.2.1:22"),
            (b"2001:db8::1", 443, b"[2001:db8::1]:443"),
            (b"fe80::1%eth0", 443, b"[fe80::1]:443"),
        ]:
            self.assertEqual(target, authority_of(host, port))
            fields = [(b"Proxy-Authorization", b"Basic eA=="), (b"X-A", b"1"), (b"X-A", b"2")]
            self.assertEqual(
                b"CONNECT %b HTTP/1.1\r\nHost: %b\r\nProxy-Authorization: Basic eA==\r\n"
                b"X-A: 1\r\nX-A: 2\r\n\r\n" % (target, target),
                HTTPConnect("p", host, port, fields).begin(),
            )


class AnswerTests(SynchronousTestCase):
    """What comes back."""

    def test_open(self) -> None:
        """
        Every 2xx opens the tunnel, and every octet behind its head is the tunnel's: a length, or
        chunks, that it announces mean nothing.
        """
        for head in (
            OPEN,
            b"HTTP/1.0 200 OK\r\n\r\n",
            b"HTTP/1.1 200\r\n\r\n",
            b"HTTP/1.1 204 \r\nServer: x\r\n\r\n",
            b"HTTP/1.1 200 OK\nServer: x\n\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        ):
            connect = made()
            self.assertEqual(b"", connect.receive(head + b"\x16\x03\r\n\r\n"))
            self.assertTrue(connect.is_open)
            self.assertEqual(b"\x16\x03\r\n\r\n", connect.rest)

    def test_anyCut(self) -> None:
        """Where the octets are cut makes no difference."""
        octets = b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nC: d\r\n\r\n"
        for size in range(1, len(octets)):
            connect = made()
            for start in range(0, len(octets), size):
                self.assertFalse(connect.is_open)
                connect.receive(octets[start : start + size])
            self.assertTrue(connect.is_open)
            self.assertEqual(b"", connect.rest)

    def test_refused(self) -> None:
        """Anything else refuses it; the error has the status, and names proxy and target."""
        for status in (101, 302, 403, 404, 502, 999):
            with self.assertRaises(TunnelRefused) as caught:
                made().receive(b"HTTP/1.1 %d X\r\n\r\n" % status)
            self.assertEqual(status, caught.exception.status)
            self.assertEqual(
                f"http://p.test:80: the proxy answers CONNECT a.test:443 with {status}",
                str(caught.exception),
            )

    def test_authentication(self) -> None:
        """407 tells whether credentials are missing or wrong, and not which they were."""
        fields = [(b"proxy-Authorization", b"Basic c2VjcmV0")]
        for given, word in ((None, "missing"), (fields, "wrong")):
            with self.assertRaises(TunnelRefused) as caught:
                made(given).receive(b"HTTP/1.1 407 X\r\n\r\n")
            self.assertIn(f"with 407: Proxy-Authorization is {word}", str(caught.exception))
            self.assertNotIn("c2VjcmV0", str(caught.exception))

    def test_garbage(self) -> None:
        """What is no HTTP/1.1 is told at once, in one line, not at the end of a head."""
        for octets in (
            b"\x05\xff",
            b"SSH-2.0-OpenSSH\r\n",
            b"HTTP/2 200\r\n",
            b"HTTP/1.1 20 X\r\n\r\n",
            b"HTTP/1.1 2000 X\r\n\r\n",
            b"HTTP/1.1 099 X\r\n\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 100 X\r\n\r\nx",
            b"\r\n\r\n",
        ):
            with self.assertRaises(NegotiationFailed) as caught:
                made().receive(octets)
            message = str(caught.exception)
            self.assertIn("http://p.test:80: the proxy's answer to CONNECT a.test:443", message)
            self.assertNotIn("\n", message)

    def test_bound(self) -> None:
        """
        A head without an end, or informational responses without one, are given up within the
        bound; a large head within it is good.
        """
        line = b"HTTP/1.1 200 OK\r\nA: "
        connect = made()
        connect.receive(line + b"x" * (LARGEST_HEAD - len(line) - 4) + b"\r\n\r\n" + b"y" * 70000)
        self.assertEqual(70000, len(connect.rest))
        with self.assertRaises(NegotiationFailed) as caught:
            made().receive(line + b"x" * (LARGEST_HEAD - len(line) - 3) + b"\r\n\r\n")
        self.assertIn(f"more than {LARGEST_HEAD} octets", str(caught.exception))
        for piece in (b"x" * 1000, b"\r\n\r\nHTTP/1.1 102 X\r\nA: "):
            connect, sent = made(), 0
            connect.receive(b"HTTP/1.1 102 X\r\nA: ")
            with self.assertRaises(NegotiationFailed) as caught:
                while sent < 2 * LARGEST_HEAD:
                    connect.receive(piece)
                    sent += len(piece)
            self.assertIn(f"more than {LARGEST_HEAD} octets", str(caught.exception))
            self.assertLess(sent, LARGEST_HEAD + len(piece))
