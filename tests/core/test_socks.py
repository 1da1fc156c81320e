"""Tests for :mod:`txhyper.core.socks`: what is said to a SOCKS5 proxy (RFC 1928, RFC 1929)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txhyper.core.socks import REPLIES, SOCKS5Connect
from txhyper.errors import InvalidRequest, NegotiationFailed, TunnelRefused

CREDENTIALS = (b"user", b"secret")
NO_AUTHENTICATION, USER_PASSWORD = b"\x05\x00", b"\x05\x02"
BOUND = b"\x01\x7f\x00\x00\x01\x00\x50"
SUCCEEDED = b"\x05\x00\x00" + BOUND


def made(host: bytes = b"a.test", credentials: tuple[bytes, bytes] | None = None) -> SOCKS5Connect:
    """A connection that has said its first word."""
    connect = SOCKS5Connect("socks5://p.test:1080", host, 443, credentials)
    connect.begin()
    return connect


class SOCKS5Tests(SynchronousTestCase):
    """One tunnel."""

    def test_namesAreTheProxys(self) -> None:
        """A name is sent as a name: the proxy looks it up. An address is sent as an address."""
        for host, address in [
            (b"a.test", b"\x03\x06a.test"),
            (b"192.0.2.1", b"\x01\xc0\x00\x02\x01"),
            (b"2001:db8::1", b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01"),
            (b"fe80::1%eth0", b"\x04\xfe\x80" + bytes(13) + b"\x01"),
        ]:
            connect = SOCKS5Connect("p", host, 443)
            self.assertEqual(b"\x05\x01\x00", connect.begin())
            request = connect.receive(NO_AUTHENTICATION)
            self.assertEqual(b"\x05\x01\x00" + address + b"\x01\xbb", request)

    def test_credentials(self) -> None:
        """They are offered, and sent only to a proxy that asks for them."""
        connect = SOCKS5Connect("p", b"a.test", 443, CREDENTIALS)
        self.assertEqual(b"\x05\x02\x00\x02", connect.begin())
        self.assertEqual(b"\x01\x04user\x06secret", connect.receive(USER_PASSWORD))
        self.assertTrue(connect.receive(b"\x01\x00").startswith(b"\x05\x01\x00\x03\x06a.test"))
        connect.receive(SUCCEEDED)
        self.assertTrue(connect.is_open)
        self.assertNotIn(b"secret", made(credentials=CREDENTIALS).receive(NO_AUTHENTICATION))

    def test_anyCut(self) -> None:
        """Where the octets are cut makes no difference; what is behind them is the tunnel's."""
        for reply in (
            SUCCEEDED,
            b"\x05\x00\x00\x04" + bytes(18),
            b"\x05\x00\x00\x03\x05local\x00\x50",
        ):
            octets = USER_PASSWORD + b"\x01\x00" + reply
            for size in range(1, len(octets) + 1):
                connect = made(credentials=CREDENTIALS)
                for start in range(0, len(octets), size):
                    self.assertFalse(connect.is_open)
                    connect.receive(octets[start : start + size])
                self.assertTrue(connect.is_open)
                self.assertEqual(b"", connect.rest)
            connect = made()
            connect.receive(NO_AUTHENTICATION + reply + b"rest")
            self.assertEqual((True, b"rest"), (connect.is_open, connect.rest))

    def test_replies(self) -> None:
        """A reply that refuses is told by its name, whatever address it has."""
        for code, meaning in [*REPLIES.items(), (0x63, "a reply of its own")]:
            for rest in (BOUND, bytes(7), b"\x03\x00\x00\x00"):
                connect = made()
                connect.receive(NO_AUTHENTICATION)
                with self.assertRaises(TunnelRefused) as caught:
                    connect.receive(b"\x05%c\x00" % code + rest)
                self.assertEqual(code, caught.exception.status)
                self.assertEqual(
                    "socks5://p.test:1080: the proxy does not connect to a.test:443: "
                    f"{meaning} (0x{code:02x}, RFC 1928)",
                    str(caught.exception),
                )

    def test_authentication(self) -> None:
        """
        No way of authentication, or a wrong password, is told as such; the password is not.
        """
        for credentials, octets, status, words in [
            (None, b"\x05\xff", 0xFF, "it wants a user name and a password"),
            (CREDENTIALS, b"\x05\xff", 0xFF, "accepts no way of authentication"),
            (CREDENTIALS, USER_PASSWORD + b"\x01\x01", 1, "user name or the password is wrong"),
        ]:
            with self.assertRaises(TunnelRefused) as caught:
                made(credentials=credentials).receive(octets)
            self.assertEqual(status, caught.exception.status)
            self.assertIn(words, str(caught.exception))
            self.assertNotIn("secret", str(caught.exception))

    def test_garbage(self) -> None:
        """What is no SOCKS5 is told as such, as soon as it can be known."""
        for octets in (
            b"HTTP/1.1 400 Bad Request\r\n",
            b"\x04\x00",
            b"\x05\x02",
            b"\x05\x01",
            b"\x05\x77",
            NO_AUTHENTICATION + b"H",
            NO_AUTHENTICATION + b"\x04\x00\x00" + BOUND,
            NO_AUTHENTICATION + b"\x05\x00\x00\x02" + bytes(6),
            NO_AUTHENTICATION + b"\x05\x00\x00\x03\x01\xff\x00\x50",
        ):
            with self.assertRaises(NegotiationFailed) as caught:
                made().receive(octets)
            self.assertIn(
                "socks5://p.test:1080: the proxy does not speak SOCKS5", str(caught.exception)
            )
            self.assertNotIn("\n", str(caught.exception))
        for octets in (b"\x05\x01", USER_PASSWORD + b"\x05\x00"):
            with self.assertRaises(NegotiationFailed):
                made(credentials=CREDENTIALS).receive(octets)

    def test_longNames(self) -> None:
        """A name that SOCKS5 has no room for is the caller's mistake."""
        self.assertIn(b"\x03\xff" + b"a" * 255, made(b"a" * 255).receive(NO_AUTHENTICATION))
        with self.assertRaises(InvalidRequest) as caught:
            made(b"a" * 256)
        self.assertIn("RFC 1928 section 5", str(caught.exception))
