"""
What callers get wrong is told before anything is sent, whichever way they came.

A table of mistakes, and the ways to make them: our Agent by either method, Twisted's own with our
pool, treq, hyper's API; over HTTP/2, over HTTP/1.1, and through a proxy that forwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

from treq.client import HTTPClient
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web import client as web
from twisted.web.http_headers import Headers

from tests.client.network import Connection, Network, read
from tests.client.scene import OK11
from tests.protocol.scene import WholeBody
from txhyper import (
    Agent,
    ConnectionPool,
    HTTP11Connection,
    HTTP20Connection,
    HTTPConnection,
    Proxy,
    Request,
)
from txhyper.client.tls import unverifiedPolicy
from txhyper.core import frames
from txhyper.errors import InvalidRequest

Field = tuple[bytes, bytes]

HTTP2, HTTP11, FORWARDED = "HTTP/2", "HTTP/1.1", "a proxy that forwards"
EVERYWHERE = (HTTP2, HTTP11, FORWARDED)

#: What no request line and no field may hold, once it is on its way.
CONTROL = re.compile(rb"[\0-\x1f\x7f]")


@dataclass(frozen=True)
class Mistake:
    """
    One mistake.

    :ivar uri: where it is not absolute, the path of a good one.
    :ivar protocols: over which it is one.
    """

    name: str
    method: bytes = b"GET"
    uri: bytes = b"/"
    fields: tuple[Field, ...] = ()
    body: bytes | None = None
    protocols: tuple[str, ...] = EVERYWHERE


def methods() -> Iterator[Mistake]:
    """Methods that are no tokens."""
    for name, method in [
        ("Empty", b""),
        ("Space", b"GE T"),
        ("SpaceFirst", b" GET"),
        ("NUL", b"GET\0"),
        ("LineBreak", b"GET / HTTP/1.1\r\nevil: 1\r\n\r\nGET"),
        ("LF", b"GET\n"),
        ("Colon", b":method"),
        ("NotASCII", b"G\xc3\x84T"),
    ]:
        yield Mistake(f"method{name}", method)


def uris() -> Iterator[Mistake]:
    """URIs that are none."""
    for name, uri in [
        ("Space", b"/a b"),
        ("Tab", b"/a\tb"),
        ("NUL", b"/a\0b"),
        ("CR", b"/a\rb"),
        ("LF", b"/a\nb"),
        ("LineBreak", b"/ HTTP/1.1\r\nevil: 1\r\n\r\nGET /"),
        ("DEL", b"/\x7f"),
        ("NotASCII", b"/\xc3\xa4"),
        ("SpaceInTheQuery", b"/?a b"),
        ("LineBreakInTheQuery", b"/?a\r\nevil: 1"),
    ]:
        yield Mistake(f"path{name}", uri=uri)
    for name, uri in [
        ("Space", b"https://a. test/"),
        ("LineBreak", b"https://a.test\r\nevil: 1/"),
        ("NUL", b"https://a.test\0/"),
        ("Missing", b"https:///"),
        ("WithCredentials", b"https://user:s3cret@a.test/"),
        ("WithAWrongPort", b"https://a.test:99999/"),
        ("WithALetterForAPort", b"https://a.test:x/"),
    ]:
        yield Mistake(f"host{name}", uri=uri)


def fields() -> Iterator[Mistake]:
    """Fields that are none, or not a caller's to give."""
    for name, field in [
        ("Empty", b""),
        ("Space", b"a b"),
        ("SpaceLast", b"a "),
        ("Colon", b"a:b"),
        ("Pseudo", b":path"),
        ("PseudoAuthority", b":authority"),
        ("PseudoOfNoKind", b":evil"),
        ("NUL", b"a\0"),
        ("CR", b"a\r"),
        ("LF", b"a\n"),
        ("LineBreak", b"a: b\r\nevil"),
        ("NotASCII", b"\xc3\xa4"),
    ]:
        yield Mistake(f"name{name}", fields=((field, b"x"),))
    for name, value in [
        ("NUL", b"a\0b"),
        ("CR", b"a\rb"),
        ("LF", b"a\nb"),
        ("LineBreak", b"a\r\nevil: 1"),
        ("AnotherRequest", b"a\r\n\r\nGET /evil HTTP/1.1\r\n"),
        ("SpaceFirst", b" a"),
        ("SpaceLast", b"a "),
        ("TabFirst", b"\ta"),
        ("LFAlone", b"\n"),
    ]:
        yield Mistake(f"value{name}", fields=((b"x", value),))
    for name, value in [
        ("Empty", b""),
        ("Space", b"a. test"),
        ("LineBreak", b"a.test\r\nevil: 1"),
        ("Path", b"a.test/evil"),
        ("Query", b"a.test?evil"),
        ("Fragment", b"a.test#evil"),
        ("Credentials", b"user@a.test"),
        ("List", b"a.test,b.test"),
        ("NotASCII", b"\xc3\xa4.test"),
    ]:
        yield Mistake(f"hostField{name}", fields=((b"host", value),))
    yield Mistake("hostFieldTwice", fields=((b"host", b"a.test"), (b"Host", b"b.test")))
    # Elsewhere it takes the place of the URI's, and there is only one.
    yield Mistake("hostFieldAgainstTheURI", fields=((b"host", b"b.test"),), protocols=(FORWARDED,))
    for field, value in [
        (b"connection", b"close"),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-connection", b"keep-alive"),
        (b"upgrade", b"h2c"),
        (b"te", b"gzip"),
    ]:
        name = "".join(part.capitalize() for part in field.decode().split("-"))
        yield Mistake(f"connectionSpecific{name}", fields=((field, value),), protocols=(HTTP2,))
    yield Mistake(
        "transferEncoding", b"POST", fields=((b"Transfer-Encoding", b"chunked"),), body=b"x"
    )


def lengths() -> Iterator[Mistake]:
    """Lengths that are none, or not those of the body."""
    for name, value in [
        ("Empty", b""),
        ("Signed", b"+4"),
        ("Negative", b"-4"),
        ("Listed", b"4, 4"),
        ("Hexadecimal", b"0x4"),
        ("Fraction", b"4.0"),
        ("TooSmall", b"3"),
        ("TooLarge", b"5"),
    ]:
        yield Mistake(f"contentLength{name}", b"POST", b"/", ((b"content-length", value),), b"body")
    twice = ((b"content-length", b"4"), (b"Content-Length", b"4"))
    yield Mistake("contentLengthTwice", b"POST", b"/", twice, b"body")
    for method in (b"GET", b"POST"):
        name = f"contentLengthOfNoBodyTo{method.decode()}"
        yield Mistake(name, method, b"/", ((b"content-length", b"4"),))


MISTAKES = [*methods(), *uris(), *fields(), *lengths()]


class RawHeaders(Headers):
    """Headers of somebody's own make, which clean nothing."""

    def __init__(self, given: tuple[Field, ...]) -> None:
        super().__init__()
        self._given = list(given)

    def getAllRawHeaders(self) -> Iterator[tuple[bytes, list[bytes]]]:
        """One by one."""
        return ((name, [value]) for name, value in self._given)

    def hasHeader(self, name: Any) -> bool:
        """Whether there is one."""
        return name.lower() in {given.lower() for given, _ in self._given}

    def addRawHeader(self, name: Any, value: Any) -> None:
        """Add one."""
        self._given.append((name, value))

    def setRawHeaders(self, name: Any, values: Any) -> None:
        """Add some; treq does, to those that were not there."""
        self._given += [(_octets(name), _octets(value)) for value in values]

    def copy(self) -> RawHeaders:
        """Likewise."""
        return RawHeaders(tuple(self._given))


def _octets(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def told(cls: type[CallerTests]) -> type[CallerTests]:
    """Give a class a test for each mistake that is one over its protocol."""
    for mistake in MISTAKES:
        if cls.protocol in mistake.protocols:

            def test(self: CallerTests, mistake: Mistake = mistake) -> None:
                self.refuse(mistake)

            test.__name__ = f"test_{mistake.name}"
            test.__qualname__ = f"{cls.__qualname__}.{test.__name__}"
            test.__doc__ = f"{mistake.name}: told, and nothing is sent."
            setattr(cls, test.__name__, test)
    return cls


class CallerTests(SynchronousTestCase):
    """
    What all ways have in common. Each class below is one.

    :cvar protocol: what is spoken.
    :cvar error: what the mistake is, at least.
    :cvar cleans: whether somebody on the way may mend it instead.
    """

    protocol = HTTP2
    error: type[Exception] = InvalidRequest
    cleans: Callable[[Mistake], bool] = staticmethod(lambda mistake: False)

    def setUp(self) -> None:
        """Nothing is connected yet."""
        self.network = Network(Clock())
        self.pool = ConnectionPool(self.network.clock)
        self.begin()

    def begin(self) -> None:
        """Make whatever sends."""

    def send(self, mistake: Mistake, uri: bytes) -> Any:
        """Send it."""
        raise NotImplementedError

    def ask(self, mistake: Mistake) -> Deferred[Any]:
        """Send it; what is raised at once counts as well."""
        uri = mistake.uri
        scheme = b"http" if self.protocol == FORWARDED else b"https"
        if uri.startswith(b"https"):
            uri = scheme + uri[5:]
        else:
            uri = scheme + b"://a.test" + uri
        deferred = maybeDeferred(self.send, mistake, uri)
        self.network.clock.advance(0)
        return deferred

    def open(self) -> Connection:
        """The connection that was dialled last."""
        connection = self.network.connections[-1]
        if connection.negotiator is None:
            if self.protocol == HTTP2:
                connection.h2()
            elif self.protocol == HTTP11:
                connection.tcp().tls(b"http/1.1")
            else:
                connection.tcp(tls=False)
        self.network.clock.advance(0)
        return connection

    def warm(self) -> Connection:
        """One that has answered a good request."""
        deferred = self.ask(Mistake("none", b"POST", b"/good", ((b"x", b"y"),), b"body"))
        connection = self.open()
        if self.protocol == HTTP2:
            request = connection.peer.expectHeaders()
            self.assertEqual(b"/good", request[b":path"])
            connection.answer(request.streamId, b"hi")
        else:
            self.assertIn(b"/good HTTP/1.1\r\n", b"".join(connection.transport.writes))
            connection.peer.send(OK11)
        response = self.successResultOf(deferred)
        self.readAll(response)
        self.forget(connection)
        return connection

    def readAll(self, response: Any) -> None:
        """Read a response to its end."""
        self.assertEqual(b"hi", read(response).octets)

    def forget(self, connection: Connection) -> None:
        """What has been written so far counts no more."""
        if self.protocol == HTTP2:
            connection.peer.drain()
        else:
            connection.transport.writes.clear()

    def requests(self, connection: Connection) -> list[bytes]:
        """What has been said of requests since: fields, or lines."""
        if self.protocol != HTTP2:
            return b"".join(connection.transport.writes).split(b"\r\n")
        connection.peer.read()
        if not any(frame.kind == frames.HEADERS for frame in connection.peer.frames):
            return [b""]
        found = connection.peer.expectHeaders().fields
        self.assertFalse([field for field in found if b" " in field[0]])
        self.assertNotIn(b" ", dict(found)[b":path"])
        return [b"%b: %b" % field for field in found]

    def check(self, mistake: Mistake, deferred: Deferred[Any], connection: Connection) -> None:
        """It was told, or nothing of it is left in what was sent."""
        results: list[Any] = []
        deferred.addBoth(results.append)
        said = self.requests(connection)
        if results and isinstance(results[0], Failure):
            self.assertIsInstance(results[0].value, self.error)
            self.assertNotIn("s3cret", str(results[0].value))
            self.assertEqual([b""], said)
            self.assertEqual([0], [each.open for each in self.pool.snapshot()[0].connections])
        else:
            self.assertTrue(self.cleans(mistake), results)
            for line in said:
                self.assertFalse(CONTROL.search(line), line)
                self.assertFalse(line.lower().startswith((b"evil", b"get /evil")), line)

    def refuse(self, mistake: Mistake) -> None:
        """On a new connection, if there is one, and on one that has been used."""
        deferred = self.ask(mistake)
        if self.network.connections:
            deferred.addErrback(lambda reason: reason)
            self.check(mistake, deferred, self.open())
        else:
            self.failureResultOf(deferred, self.error)
        self.setUp()
        connection = self.warm()
        number = len(self.network.connections)
        deferred = self.ask(mistake)
        if len(self.network.connections) == number:
            self.check(mistake, deferred, connection)
        else:
            # To another origin than the good one's.
            self.check(mistake, deferred, self.open())
            return
        if deferred.called and not self.cleans(mistake):
            self.assertIs(connection, self.warm())


class AgentTests(CallerTests):
    """``Agent.request``."""

    def begin(self) -> None:
        """Make it."""
        clock = self.network.clock
        if self.protocol == FORWARDED:
            patch = mock.patch.object(Proxy, "connection", lambda *args: self.network)
            patch.start()
            self.addCleanup(patch.stop)
            proxy = Proxy(b"http://user:pass@p.test:3128")
            self.agent: Any = Agent(clock, unverifiedPolicy(), pool=self.pool, proxy=proxy)
        else:
            self.agent = Agent.usingEndpointFactory(clock, self.network, self.pool)

    def send(self, mistake: Mistake, uri: bytes) -> Any:
        """Send it."""
        body = None if mistake.body is None else WholeBody(mistake.body)
        return self.agent.request(mistake.method, uri, RawHeaders(mistake.fields), body)


@told
class RequestHTTP2Tests(AgentTests):
    """``Agent.request`` over HTTP/2."""


@told
class RequestHTTP11Tests(AgentTests):
    """``Agent.request`` over HTTP/1.1."""

    protocol = HTTP11


@told
class RequestForwardedTests(AgentTests):
    """``Agent.request`` through a proxy that forwards."""

    protocol = FORWARDED


class SendTests(AgentTests):
    """``Agent.send``."""

    def send(self, mistake: Mistake, uri: bytes) -> Any:
        """Send it."""
        headers = RawHeaders(mistake.fields)
        return self.agent.send(Request(mistake.method, uri, headers, mistake.body))


@told
class SendHTTP2Tests(SendTests):
    """``Agent.send`` over HTTP/2."""

    def test_trailers(self) -> None:
        """Trailers are judged when the request is made, by the same rules."""
        uri = b"https://a.test/"
        for name, value in [
            (b":path", b"/"),
            (b"", b"x"),
            (b"a b", b"x"),
            (b"a\r\nevil", b"x"),
            (b"x", b"a\r\nevil: 1"),
            (b"x", b"a\0"),
            (b"x", b" a"),
            (b"connection", b"close"),
            (b"transfer-encoding", b"chunked"),
            (b"content-length", b"4"),
            (b"host", b"a.test"),
        ]:
            with self.assertRaises(InvalidRequest):
                Request(b"POST", uri, None, b"body", trailers=RawHeaders(((name, value),)))

    def test_secrets(self) -> None:
        """What is refused is shown, but not if it may be secret."""
        for name in (b"authorization", b"Cookie", b"proxy-authorization"):
            deferred = self.ask(Mistake("", fields=((name, b"s3cret\n"),)))
            message = str(self.failureResultOf(deferred, InvalidRequest).value)
            self.assertNotIn("s3cret", message)
            self.assertIn(name.decode().lower(), message)


@told
class SendHTTP11Tests(SendTests):
    """``Agent.send`` over HTTP/1.1."""

    protocol = HTTP11


@told
class SendForwardedTests(SendTests):
    """``Agent.send`` through a proxy that forwards."""

    protocol = FORWARDED

    def test_proxysFields(self) -> None:
        """What the proxy is to be told is judged when the proxy is made."""
        for field in [(b"x", b"a\r\nevil: 1"), (b"a\r\nevil", b"x"), (b":path", b"x")]:
            with self.assertRaises(InvalidRequest):
                Proxy(b"http://p.test", headers=RawHeaders((field,)))


class StockTests(AgentTests):
    """Twisted's own Agent with our pool. It judges method and URI itself, as a ValueError."""

    error = ValueError

    def begin(self) -> None:
        """Make it."""
        self.agent = web.Agent.usingEndpointFactory(self.network.clock, self.network, self.pool)


@told
class StockHTTP2Tests(StockTests):
    """Twisted's own Agent over HTTP/2."""


@told
class StockHTTP11Tests(StockTests):
    """Twisted's own Agent over HTTP/1.1."""

    protocol = HTTP11


class TreqTests(AgentTests):
    """treq around our agent. It percent-encodes URIs."""

    error = ValueError
    cleans = staticmethod(lambda mistake: mistake.name.startswith(("path", "host", "method")))

    def send(self, mistake: Mistake, uri: bytes) -> Any:
        """Send it."""
        method, text = mistake.method.decode("latin-1"), uri.decode()
        headers = RawHeaders(mistake.fields)
        # What treq makes of octets is produced by the global reactor.
        body = None if mistake.body is None else WholeBody(mistake.body)
        return HTTPClient(self.agent).request(method, text, headers=headers, data=body)


@told
class TreqHTTP2Tests(TreqTests):
    """treq over HTTP/2."""


@told
class TreqHTTP11Tests(TreqTests):
    """treq over HTTP/1.1."""

    protocol = HTTP11


class HyperTests(CallerTests):
    """hyper's API. As hyper does, it leaves out fields of the connection."""

    connection: type[HTTPConnection] = HTTP20Connection
    cleans = staticmethod(
        lambda mistake: mistake.name.startswith(("connectionSpecific", "transferEncoding"))
    )

    def begin(self) -> None:
        """Make it."""
        self.hyper = self.connection(
            "a.test", reactor=self.network.clock, endpoint_factory=self.network
        )
        self.pool = self.hyper._agent.pool

    def send(self, mistake: Mistake, uri: bytes) -> Any:
        """Send it."""
        target = uri.removeprefix(b"https://a.test") if mistake.uri.startswith(b"/") else uri
        self.hyper.request(mistake.method, target, mistake.body, list(mistake.fields))
        return self.hyper.get_response()

    def readAll(self, response: Any) -> None:
        """As hyper does."""
        self.assertEqual(b"hi", self.successResultOf(response.read()))


@told
class HyperHTTP2Tests(HyperTests):
    """hyper's API over HTTP/2."""


@told
class HyperHTTP11Tests(HyperTests):
    """hyper's API over HTTP/1.1."""

    protocol = HTTP11
    connection = HTTP11Connection


class CookieTests(AgentTests):
    """Cookies over HTTP/2."""

    def test_asGiven(self) -> None:
        """
        They are sent as they were given, in one field or several, and none is put into a
        compression table: there is nothing that a guess could be compared with.
        """
        cookies = ((b"cookie", b"a=1; b=2"), (b"cookie", b"c=3"))
        for _ in range(3):
            self.ask(Mistake("none", fields=cookies))
            connection = self.open()
            connection.peer.read()
            (block,) = [f.payload for f in connection.peer.frames if f.kind == frames.HEADERS]
            # A literal that is never indexed, whose name is entry 32 of the static table.
            self.assertEqual(2, block.count(b"\x1f\x11"), block)
            self.assertEqual(
                [*cookies],
                [field for field in connection.peer.expectHeaders().fields if field in cookies],
            )
