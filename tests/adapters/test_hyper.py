"""Tests for :mod:`txhyper.adapters.hyper`: the connection's own methods, and its life."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

import txhyper
from tests.adapters.scene import OK, HyperTestCase
from tests.client.network import Network
from txhyper import (
    Bounds,
    ConnectionUnusable,
    FlowControlManager,
    HTTP11Connection,
    HTTP20Connection,
    HTTPConnection,
    InvalidRequest,
    Proxy,
    Timeouts,
)
from txhyper.adapters import hyper
from txhyper.client.tls import unverifiedPolicy
from txhyper.errors import ConnectTimedOut, HyperError, NegotiationFailed, ResponseTimedOut


class ConstructionTests(HyperTestCase):
    """What a connection is made with."""

    def test_nothingIsConnected(self) -> None:
        """It connects nothing before somebody asks."""
        self.assertEqual([], self.network.connections)

    def test_unknownOptions(self) -> None:
        """An option that there is not is refused by its name, and not swallowed."""
        for kind in [HTTPConnection, HTTP20Connection, HTTP11Connection]:
            error = self.assertRaises(TypeError, kind, "a.test", nagle=False, reactor=self.clock)
            self.assertIn("nagle", str(error))

    def test_globalReactor(self) -> None:
        """Without a reactor given, it is the global one, imported when it is needed."""
        from twisted.internet import reactor

        self.assertIs(reactor, HTTP20Connection("a.test")._agent.pool.reactor)

    def test_twoWays(self) -> None:
        """Endpoints of one's own have their own TLS and ways: others beside them are refused."""
        for options in ({"ssl_context": unverifiedPolicy()}, {"proxy_host": "proxy.test"}):
            error = self.assertRaises(
                TypeError,
                HTTP20Connection,
                "a.test",
                endpoint_factory=self.network,
                reactor=self.clock,
                **options,
            )
            self.assertIn("beside an endpoint_factory", str(error))

    def test_windowManager(self) -> None:
        """The window manager's class decides about the windows of the connection."""

        class Small(FlowControlManager):
            initial_stream_window = 4321

        self.another(HTTP20Connection, window_manager=Small).connect()
        settings = self.server().peer.expect(4).payload
        self.assertIn((4).to_bytes(2, "big") + (4321).to_bytes(4, "big"), settings)

    def test_badWindowManager(self) -> None:
        """One whose windows HTTP/2 does not allow is refused."""

        class Huge(FlowControlManager):
            initial_stream_window = 2**31

        self.assertRaises(
            ValueError, HTTP20Connection, "a.test", window_manager=Huge, reactor=self.clock
        )

    def test_bounds(self) -> None:
        """The bounds are the connections' own."""
        self.another(HTTP20Connection, bounds=Bounds(header_list_size=54321)).connect()
        settings = self.server().peer.expect(4).payload
        self.assertIn((6).to_bytes(2, "big") + (54321).to_bytes(4, "big"), settings)

    def test_timeouts(self) -> None:
        """The time limits are those of each request."""
        connection = self.another(HTTP20Connection, timeouts=Timeouts(headers=5))
        connection.request("GET", "/")
        response = connection.get_response()
        self.server()
        self.clock.advance(5)
        self.failureResultOf(response, ResponseTimedOut)


class ConnectTests(HyperTestCase):
    """connect()"""

    def test_dials(self) -> None:
        """It dials, sends no request, and fires when there is a connection."""
        connected = self.conn.connect()
        self.assertNoResult(connected)
        peer = self.server().peer
        self.assertIsNone(self.successResultOf(connected))
        self.assertNotIn(1, [frame.kind for frame in peer.drain()])

    def test_once(self) -> None:
        """A second one does nothing, and requests take the connection that is there."""
        self.conn.connect()
        connection = self.server()
        self.successResultOf(self.conn.connect())
        self.conn.request("GET", "/")
        self.assertEqual(b"/", self.seen(connection)[b":path"])
        self.assertEqual(1, len(self.network.connections))

    def test_besideRequests(self) -> None:
        """One that comes while a request dials waits for the same dial."""
        self.conn.request("GET", "/")
        connected = self.conn.connect()
        self.server()
        self.successResultOf(connected)
        self.assertEqual(1, len(self.network.connections))

    def test_http11(self) -> None:
        """Over HTTP/1.1 the connection stays, and the next request is written on it."""
        connection = self.another(HTTP11Connection, "a.test:443")
        connected = connection.connect()
        self.server11()
        self.successResultOf(connected)
        self.assertEqual(b"", self.written())
        connection.request("GET", "/")
        self.assertIn(b"GET / HTTP/1.1", self.written())
        self.assertEqual(1, len(self.network.connections))

    def test_refused(self) -> None:
        """It fails as the dial does."""
        connected = self.conn.connect()
        self.network.connections[0].connecting.errback(ConnectError())
        self.failureResultOf(connected, ConnectError)

    def test_cancelled(self) -> None:
        """Cancelling it cancels the dial."""
        connected = self.conn.connect()
        connected.cancel()
        self.failureResultOf(connected, CancelledError)
        self.assertTrue(self.network.connections[0].isCancelled)

    def test_cancelledBesideRequests(self) -> None:
        """Cancelling it leaves a request alone that waits for the same dial."""
        self.conn.request("GET", "/")
        connected = self.conn.connect()
        connected.cancel()
        self.failureResultOf(connected, CancelledError)
        self.server()
        self.assertEqual(b"/", self.seen()[b":path"])

    def test_timeLimit(self) -> None:
        """The time limit for connecting is kept."""
        connection = self.another(HTTP20Connection, timeouts=Timeouts(connect=3))
        connected = connection.connect()
        self.clock.advance(3)
        self.failureResultOf(connected, ConnectTimedOut)
        self.assertTrue(self.network.connections[0].isCancelled)

    def test_inTime(self) -> None:
        """A limit that was kept leaves no timer."""
        connection = self.another(HTTP20Connection, timeouts=Timeouts(connect=3, total=3))
        connected = connection.connect()
        self.server()
        self.successResultOf(connected)
        self.clock.advance(3)
        self.successResultOf(connection.connect())

    def test_otherProtocol(self) -> None:
        """A server that speaks nothing of what the class speaks is told as such."""
        connected = self.conn.connect()
        self.network.connections[0].tcp().tls(b"http/1.1")
        self.failureResultOf(connected, NegotiationFailed)

    def test_closed(self) -> None:
        """Closing ends the wait."""
        connected = self.conn.connect()
        self.successResultOf(self.conn.close())
        self.failureResultOf(connected, ConnectionUnusable)
        self.assertTrue(self.network.connections[0].isCancelled)


class PingTests(HyperTestCase):
    """ping()"""

    def test_seconds(self) -> None:
        """It dials if it has to, and fires with the seconds of the round trip."""
        ping = self.conn.ping()
        peer = self.server().peer
        frame = peer.expect(6)
        self.clock.advance(0.25)
        peer.sendPing(frame.payload, ack=True)
        self.assertEqual(0.25, self.successResultOf(ping))

    def test_opaqueData(self) -> None:
        """hyper's argument is taken, and has to be 8 octets."""
        ping = self.conn.ping(b"12345678")
        peer = self.server().peer
        peer.sendPing(peer.expect(6).payload, ack=True)
        self.successResultOf(ping)
        for wrong in [b"1234567", "123456789"]:
            self.assertRaises(InvalidRequest, self.conn.ping, wrong)

    def test_http11(self) -> None:
        """Over HTTP/1.1 there is none, and that is said."""
        ping = self.another(HTTP11Connection, "a.test:443").ping()
        self.server11()
        error = self.failureResultOf(ping, ConnectionUnusable).value
        self.assertIn("HTTP/1.1 has no PING", str(error))


class CloseTests(HyperTestCase):
    """close(), and what comes after it."""

    def test_unused(self) -> None:
        """One that was never used is closed at once."""
        self.assertIsNone(self.successResultOf(self.conn.close()))

    def test_farewell(self) -> None:
        """It fires once the connection is gone, which was said farewell to."""
        self.conn.connect()
        connection = self.server()
        closed = self.conn.close()
        self.assertNoResult(closed)
        self.assertEqual(0, connection.peer.expectGoAway()[1])
        connection.lose()
        self.successResultOf(closed)

    def test_openRequests(self) -> None:
        """Open requests are given up with CANCEL, so that nothing is waited for."""
        self.conn.request("GET", "/")
        taken = self.conn.get_response()
        self.conn.request("GET", "/untaken")
        connection = self.server()
        closed = self.conn.close()
        error = self.failureResultOf(taken, ConnectionUnusable).value
        self.assertEqual("https://a.test: the connection was closed", str(error))
        self.assertEqual(8, connection.peer.expectReset(1))
        self.assertEqual(8, connection.peer.expectReset(3))
        connection.lose()
        self.successResultOf(closed)

    def test_unreadBodies(self) -> None:
        """Bodies that are still to be read are given up, and say so."""
        self.conn.request("GET", "/")
        connection = self.server()
        connection.peer.sendHeaders(1, OK)
        response = self.successResultOf(self.conn.get_response())
        reading = response.read()
        closed = self.conn.close()
        self.assertEqual(8, connection.peer.expectReset(1))
        self.failureResultOf(reading, HyperError)
        self.assertIn("closed", str(self.assertRaises(RuntimeError, response.read)))
        connection.lose()
        self.successResultOf(closed)

    def test_responseUntaken(self) -> None:
        """A response that nobody has taken is given up as well."""
        self.conn.request("GET", "/")
        connection = self.server()
        connection.peer.sendHeaders(1, OK)
        closed = self.conn.close()
        self.assertEqual(8, connection.peer.expectReset(1))
        connection.lose()
        self.successResultOf(closed)

    def test_unsentUploads(self) -> None:
        """An upload that has not ended is given up, though its response is here."""
        self.conn.putrequest("POST", "/")
        sent = self.conn.endheaders()
        connection = self.server()
        connection.peer.sendHeaders(1, OK)
        self.successResultOf(self.conn.get_response())
        closed = self.conn.close()
        self.assertEqual(8, connection.peer.expectReset(1))
        self.successResultOf(sent)
        connection.lose()
        self.successResultOf(closed)

    def test_unsentRequests(self) -> None:
        """One whose headers have not ended is forgotten; who waits for its response is told."""
        self.conn.putrequest("POST", "/")
        response = self.conn.get_response()
        self.conn.putrequest("POST", "/untaken")
        self.successResultOf(self.conn.close())
        self.failureResultOf(response, ConnectionUnusable)
        error = self.assertRaises(InvalidRequest, self.conn.endheaders)
        self.assertIn("putrequest comes first", str(error))

    def test_again(self) -> None:
        """It may be used again: on a new connection, and the ids begin anew."""
        self.conn.request("GET", "/")
        self.conn.request("GET", "/")
        first = self.server()
        closed = self.conn.close()
        error = self.assertRaises(InvalidRequest, self.conn.get_response, 3)
        self.assertIn("request 3: there is no such request", str(error))
        self.assertEqual(1, self.conn.request("GET", "/again"))
        first.lose()
        self.successResultOf(closed)
        connection = self.server()
        self.assertEqual(b"/again", self.seen(connection)[b":path"])
        connection.answer(1, b"again")
        response = self.successResultOf(self.conn.get_response(1))
        self.assertEqual(b"again", self.successResultOf(response.read()))

    def test_twice(self) -> None:
        """A second time does no harm."""
        self.conn.connect()
        connection = self.server()
        closed = [self.conn.close(), self.conn.close()]
        connection.lose()
        for each in closed:
            self.successResultOf(each)

    def test_unheardFailures(self) -> None:
        """A failure that nobody asks for is nobody's business: it is not logged as unhandled."""
        self.conn.request("GET", "/")
        self.network.connections[0].connecting.errback(ConnectError())
        self.successResultOf(self.conn.close())
        # leaveNothing() looks for what was logged.


class ContextTests(HyperTestCase):
    """``async with``."""

    def test_asynchronous(self) -> None:
        """Leaving it closes the connection, and waits for that."""

        async def use() -> int:
            async with self.conn as connection:
                self.assertIs(self.conn, connection)
                connection.request("GET", "/")
                response = await connection.get_response()
                return response.status

        status = Deferred.fromCoroutine(use())
        connection = self.server()
        connection.answer(1)
        self.assertNoResult(status)
        connection.peer.expectGoAway()
        connection.lose()
        self.assertEqual(200, self.successResultOf(status))

    def test_failure(self) -> None:
        """It does so as well when what is inside fails, and passes that on."""

        async def use() -> None:
            async with self.conn:
                raise KeyError("inside")

        self.failureResultOf(Deferred.fromCoroutine(use()), KeyError)

    def test_plain(self) -> None:
        """A plain ``with`` says that it takes the other one."""

        def use(thing: Any) -> None:
            with thing:
                pass

        error = self.assertRaises(TypeError, use, self.conn)
        self.assertEqual(
            "HTTP20Connection takes 'async with': a plain 'with' cannot wait", str(error)
        )
        self.assertRaises(TypeError, self.conn.__exit__, None, None, None)


class NamesTests(SynchronousTestCase):
    """What is called as in hyper."""

    def test_errors(self) -> None:
        """hyper's names for errors catch ours; at top level Python's own stay what they are."""
        for name in hyper.__all__:
            self.assertIsNotNone(getattr(hyper, name))
        self.assertTrue(issubclass(hyper.StreamResetError, hyper.HTTP20Error))
        self.assertTrue(issubclass(hyper.ConnectionResetError, hyper.ConnectionError))
        for name in ["ConnectionError", "ConnectionResetError"]:
            self.assertNotIn(name, txhyper.__all__)

    def test_aliases(self) -> None:
        """Both spellings of hyper's get_response are there."""
        self.assertIs(HTTPConnection.get_response, HTTPConnection.getresponse)


class ProxyTests(SynchronousTestCase):
    """Proxies."""

    def dialled(self, kind: type[HTTPConnection], host: str, **options: Any) -> tuple[int, bytes]:
        """The port that a connection of this kind dials, and what it says there first."""
        reactor = MemoryReactorClock()
        connection = kind(host, reactor=reactor, **options)
        connection.request("GET", "/path")
        _, port, factory, *_ = reactor.tcpClients[0]
        transport = StringTransport()
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(transport)
        return port, transport.value()

    def test_tunnel(self) -> None:
        """An HTTPS origin is reached through a tunnel, where hyper fell over an assertion."""
        for options, port in [
            ({"proxy_host": "192.0.2.9"}, 8080),
            ({"proxy_host": "192.0.2.9:3128"}, 3128),
            ({"proxy_host": "192.0.2.9", "proxy_port": 3128}, 3128),
            ({"proxy_host": Proxy(b"http://192.0.2.9:3128")}, 3128),
        ]:
            for kind in (HTTP20Connection, HTTP11Connection):
                place, said = self.dialled(kind, "a.test:443", **options)
                self.assertEqual(port, place)
                self.assertTrue(said.startswith(b"CONNECT a.test:443 HTTP/1.1\r\n"), said)

    def test_headers(self) -> None:
        """Fields for the proxy are told to it."""
        _, said = self.dialled(
            HTTP20Connection,
            "a.test",
            proxy_host="192.0.2.9",
            proxy_headers={"X-Way": "home"},
        )
        self.assertIn(b"x-way: home\r\n", said.lower())

    def test_plain(self) -> None:
        """A request without TLS is the proxy's to carry, with its whole URI."""
        _, said = self.dialled(HTTP11Connection, "a.test", proxy_host="192.0.2.9")
        self.assertTrue(said.startswith(b"GET http://a.test/path HTTP/1.1\r\n"), said)

    def test_half(self) -> None:
        """A port or headers of no proxy are a mistake, and so is a host that is none."""
        for options in ({"proxy_port": 3128}, {"proxy_headers": {"a": "b"}}):
            self.assertRaises(TypeError, HTTPConnection, "a.test", reactor=Clock(), **options)
        self.assertRaises(
            InvalidRequest, HTTPConnection, "a.test", proxy_host="a/b", reactor=Clock()
        )


class EndpointTests(SynchronousTestCase):
    """How it is dialled when nobody says how."""

    def test_zone(self) -> None:
        """A link-local address keeps its zone for the dial, and no server hears of it."""
        network = Network(Clock())
        connection = HTTP20Connection(
            "[fe80::1%25eth0]:8443", reactor=network.clock, endpoint_factory=network
        )
        connection.request("GET", "/")
        self.assertEqual(b"fe80::1%eth0", network.uris[0].host)
        request = network.connections[0].h2().peer.expectHeaders()
        self.assertEqual(b"[fe80::1]:8443", request[b":authority"])
