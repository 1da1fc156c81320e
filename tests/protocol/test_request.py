"""Tests for :mod:`txhyper.protocol.request`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IClientRequest
from zope.interface.verify import verifyObject

from tests.protocol.scene import Producer
from txhyper.errors import InvalidRequest
from txhyper.protocol.request import Request, splitURI


class SplitURITests(SynchronousTestCase):
    """A URI in the pieces that HTTP/2 sends apart."""

    def test_pieces(self) -> None:
        """Scheme and host in lower case, the port as a number, path and query as they are."""
        for uri, expected in [
            (b"https://a.test", (b"https", b"a.test", None, b"")),
            (b"HTTPS://A.Test:8443/P?q=1", (b"https", b"a.test", 8443, b"/P?q=1")),
            (b"http://a.test?q", (b"http", b"a.test", None, b"?q")),
            (b"http://a.test:/x", (b"http", b"a.test", None, b"/x")),
            (b"http://[2001:DB8::1]:80/", (b"http", b"[2001:db8::1]", 80, b"/")),
        ]:
            self.assertEqual(expected, splitURI(uri))

    def test_theFragmentStaysHome(self) -> None:
        """A fragment is never sent (RFC 9110 section 4.1)."""
        self.assertEqual(b"/p?q", splitURI(b"https://a.test/p?q#f")[3])

    def test_refused(self) -> None:
        """What cannot be a target is the caller's mistake, and says why."""
        for uri, why in [
            (b"/path", "not absolute"),
            (b"a.test", "not absolute"),
            (b"https://user:secret@a.test/", "credentials"),
            (b"https:///path", "no valid host"),
            (b"https://[::1/", "no valid host"),
            (b"https://a.test:https/", "no valid host"),
            (b"https://a.test:0/", "no valid port"),
            (b"https://a.test:65536/", "no valid port"),
            (b"https://a.test/a b", "printable ASCII"),
            (b"https://a.test/\r\nx: y", "printable ASCII"),
            ("https://\u00e4.test/".encode(), "in a host as IDNA (xn--)"),
            (b"", "printable ASCII"),
        ]:
            with self.assertRaises(InvalidRequest) as caught:
                splitURI(uri)
            self.assertIn(why, str(caught.exception))
            self.assertNotIn("secret", str(caught.exception))


class RequestTests(SynchronousTestCase):
    """A request's parts."""

    def fields(self, *args: Any) -> list[tuple[bytes, bytes]]:
        """The regular fields of a request."""
        return list(Request(*args).fields()[1])

    def test_interface(self) -> None:
        """It is what a response's ``request`` is for Twisted's users."""
        headers = Headers({b"a": [b"1"]})
        request = Request(b"GET", b"https://A.test/x", headers)
        verifyObject(IClientRequest, request)
        self.assertEqual(
            (b"GET", b"https://A.test/x", headers),
            (request.method, request.absoluteURI, request.headers),
        )

    def test_noHeaders(self) -> None:
        """Without headers there are empty ones to look at, the same each time."""
        request = Request(b"GET", b"https://a.test/")
        self.assertEqual([], list(request.headers.getAllRawHeaders()))
        self.assertIs(request.headers, request.headers)

    def test_theAuthority(self) -> None:
        """The scheme's own port is left out, another one is named."""
        for uri, expected in [
            (b"https://a.test:443/", b"a.test"),
            (b"http://a.test:80/", b"a.test"),
            (b"https://a.test:80/", b"a.test:80"),
            (b"https://[::1]:8443/", b"[::1]:8443"),
        ]:
            self.assertEqual(expected, Request(b"GET", uri).authority)

    def test_thePath(self) -> None:
        """The path is never empty; OPTIONS without one asks about the server."""
        for method, uri, expected in [
            (b"GET", b"https://a.test", b"/"),
            (b"GET", b"https://a.test?q", b"/?q"),
            (b"GET", b"https://a.test/x?q", b"/x?q"),
            (b"OPTIONS", b"https://a.test", b"*"),
            (b"OPTIONS", b"https://a.test/", b"/"),
        ]:
            self.assertEqual(expected, Request(method, uri).path)

    def test_toTarget(self) -> None:
        """A URI that was taken apart before is not looked at again; its path may be an asterisk."""
        request = Request.toTarget(
            b"OPTIONS", b"https://a.test/", None, None, b"https", b"a.test:1", b"*"
        )
        self.assertEqual(
            (b"https", b"a.test:1", b"*"), (request.scheme, request.authority, request.path)
        )
        self.assertRaises(
            InvalidRequest, Request.toTarget, b"G T", b"", None, None, b"https", b"a", b"/"
        )

    def test_theMethod(self) -> None:
        """A method is a token, whatever it says."""
        self.assertEqual(b"BREW", Request(b"BREW", b"https://a.test/").method)
        self.assertRaises(InvalidRequest, Request, b"GET /", b"https://a.test/")

    def test_fieldsInLowerCase(self) -> None:
        """Twisted spells names with capitals; HTTP/2 wants none."""
        headers = Headers({b"X-Thing": [b"One", b"Two"]})
        self.assertEqual(
            [(b"x-thing", b"One"), (b"x-thing", b"Two")],
            self.fields(b"GET", b"https://a.test/", headers),
        )

    def test_theHostFieldIsTheAuthority(self) -> None:
        """A Host field takes the place of the URI's authority, as with Twisted's own agent."""
        headers = Headers({b"host": [b"b.test"]})
        self.assertEqual((b"b.test", []), Request(b"GET", b"https://a.test/", headers).fields())

    def test_lengths(self) -> None:
        """A body's length is told where it is known; no body is told where one was expected."""
        for method, body, expected in [
            (b"GET", None, []),
            (b"DELETE", None, []),
            (b"POST", None, [(b"content-length", b"0")]),
            (b"PUT", None, [(b"content-length", b"0")]),
            (b"PATCH", None, [(b"content-length", b"0")]),
            (b"POST", Producer(0), [(b"content-length", b"0")]),
            (b"POST", Producer(5), [(b"content-length", b"5")]),
            (b"POST", Producer(UNKNOWN_LENGTH), []),
        ]:
            self.assertEqual(expected, self.fields(method, b"https://a.test/", None, body))

    def test_lengthOfNothing(self) -> None:
        """A content-length of 0 is true without a body, and any other is not."""
        for method in (b"GET", b"DELETE", b"POST"):
            for length, isTrue in ((b"0", True), (b"5", False)):
                headers = Headers({b"content-length": [length], b"x": [b"y"]})
                request = Request(method, b"https://a.test/", headers)
                if isTrue:
                    self.assertIn((b"content-length", b"0"), request.fields()[1])
                else:
                    self.assertRaises(InvalidRequest, request.fields)

    def test_impossibleLengths(self) -> None:
        """A producer whose length is no number of octets is found before anything is sent."""
        for length in (-1, None, "5", 1.5):
            request = Request(b"POST", b"https://a.test/", None, Producer(length))
            self.assertRaises(InvalidRequest, request.fields)

    def test_madeOnce(self) -> None:
        """A request that is sent again is not checked again."""
        request = Request(b"GET", b"https://a.test/")
        self.assertIs(request.fields(), request.fields())
