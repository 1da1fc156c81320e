"""Tests for :mod:`txhyper.client.coalescing`: origins that share one connection."""

from __future__ import annotations

from typing import Any

from OpenSSL.crypto import FILETYPE_PEM, X509, load_certificate
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IHostnameResolver,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import BrowserLikePolicyForHTTPS, HostnameCachingHTTPSPolicy
from zope.interface import directlyProvides, implementer

from tests.client import scene
from tests.client.network import Connection, Handle, TLSTransport
from tests.client.scene import (
    HTTP_1_1_REQUIRED,
    MAX_CONCURRENT_STREAMS,
    NO_ERROR,
    PoolTestCase,
    Tracked,
)
from txhyper import Agent
from txhyper.client import coalescing
from txhyper.client.pool import ConnectionPool
from txhyper.client.route import Place, Route
from txhyper.client.tls import defaultPolicy, policyTrusting, unverifiedPolicy
from txhyper.errors import ConnectionUnusable, ConnectTimedOut
from txhyper.protocol.timeouts import Timeouts
from txhyper.testing.certs import CertificateAuthority

MISDIRECTED = [(b":status", b"421")]
AUTHORITY = CertificateAuthority()


def certificateFor(*hosts: str) -> X509:
    """A server's certificate."""
    return load_certificate(FILETYPE_PEM, AUTHORITY.issue(*hosts).certificatePem)


COMMON = certificateFor("a.test", "b.test", "*.c.test")


@implementer(IHostnameResolver)
class Resolver:
    """Knows where each host is, and tells it when the test says so."""

    def __init__(self) -> None:
        self.hosts = {name: ["192.0.2.1"] for name in ("a.test", "b.test", "x.c.test")}
        self.isPatient = False
        self.asked: list[tuple[IResolutionReceiver, str]] = []

    def resolveHostName(self, receiver: Any, host: str, port: int = 0, *rest: Any) -> Any:
        """Note who asks."""
        self.asked.append((receiver, host))
        receiver.resolutionBegan(None)
        if not self.isPatient:
            self.answer()

    def answer(self) -> None:
        """Tell the one who has asked last."""
        receiver, host = self.asked[-1]
        for address in self.hosts.get(host, []):
            receiver.addressResolved(IPv4Address("TCP", address, 443))
        receiver.resolutionComplete()


class CoalescingTestCase(PoolTestCase):
    """A pool that may share connections, and one of them, to a.test."""

    def setUp(self) -> None:
        super().setUp()
        self.resolver = Resolver()
        self.clock.nameResolver = self.resolver  # type: ignore[attr-defined]
        directlyProvides(self.clock, IReactorPluggableNameResolver)
        self.pool = ConnectionPool(self.clock, coalesce=True)

    def ask(
        self, host: str, path: bytes = b"/", port: int = 443, way: object = "way", **options: Any
    ) -> Deferred[Any]:
        """A request for a host."""
        origin = f"https://{host}"
        request = Tracked(b"GET", origin.encode() + path, **options)
        route = Route((host, port, way), origin, lambda: self.network, place=Place(host, port, way))
        return self.counted(self.pool.send(route, request))

    def first(
        self, settings: dict[int, int] | None = None, handle: Handle | None = None
    ) -> Connection:
        """The connection to a.test, which has served one request."""
        deferred = self.ask("a.test")
        connection = self.only().tcp()
        transport = connection.peer.transport
        assert isinstance(transport, TLSTransport)
        transport.handle = handle or Handle(COMMON)
        connection.tls()
        connection.peer.greet(settings)
        self.answer(connection)
        self.bodyOf(deferred)
        return connection

    def assertShared(self, host: str = "b.test", **options: Any) -> None:
        """A request for the host goes on the first connection."""
        deferred = self.ask(host, b"/s", **options)
        self.answer(self.only(), b"shared", b"/s")
        self.assertEqual(b"shared", self.bodyOf(deferred))

    def assertApart(self, host: str = "b.test", **options: Any) -> None:
        """It goes on one of its own."""
        dials = len(self.dials)
        deferred = self.ask(host, b"/a", **options)
        self.assertEqual(dials + 1, len(self.dials))
        self.answer(self.dials[-1].h2(), b"apart", b"/a")
        self.assertEqual(b"apart", self.bodyOf(deferred))


class SharingTests(CoalescingTestCase):
    """When a connection is shared, and when it is not."""

    def test_shared(self) -> None:
        """Same port, same address, and the certificate covers it: one connection is enough."""
        self.first()
        self.assertShared()
        self.assertShared()
        # Once found, it is not searched for again.
        self.assertEqual(["b.test"], [host for _, host in self.resolver.asked])

    def test_wildcard(self) -> None:
        """A certificate may cover a host by a wildcard."""
        self.first()
        self.assertShared("x.c.test")

    def test_offByDefault(self) -> None:
        """Nobody is asked for another host unless the pool says so."""
        self.pool = ConnectionPool(self.clock)
        self.first()
        self.assertApart()
        self.assertEqual([], self.resolver.asked)

    def test_certificateDoesNotCover(self) -> None:
        """A server that has not shown that it is that host is not asked, and no name looked up."""
        self.first()
        self.assertApart("d.test")
        self.assertEqual([], self.resolver.asked)

    def test_noNames(self) -> None:
        """A certificate without names covers nothing."""
        self.first(handle=Handle(certificateFor("127.0.0.1")))
        self.assertApart()

    def test_clientCertificate(self) -> None:
        """A connection on which we have said who we are is for the host that was told."""
        self.first(handle=Handle(COMMON, certificateFor("client.test")))
        self.assertApart()

    def test_anotherAddress(self) -> None:
        """A host that is elsewhere is asked there."""
        self.resolver.hosts["b.test"] = ["192.0.2.2"]
        self.first()
        self.assertApart()

    def test_unknownHost(self) -> None:
        """A host that is nowhere is a dial that fails, as ever."""
        self.resolver.hosts.clear()
        self.first()
        self.assertApart()

    def test_noAddress(self) -> None:
        """A connection that goes to no internet address is not shared."""
        connection = self.first()
        transport = connection.peer.transport
        assert isinstance(transport, TLSTransport)
        transport.address = UNIXAddress("/socket")
        self.assertApart()

    def test_anotherPort(self) -> None:
        """Another port is another server."""
        self.first()
        self.assertApart(port=8443)

    def test_anotherWay(self) -> None:
        """Nobody gets the connection of those who trust, or connect, otherwise."""
        self.first()
        self.assertApart(way="another")

    def test_noPlace(self) -> None:
        """Whoever connects by endpoints of his own shares nothing."""
        self.first()
        deferred = self.send(origin="https://b.test")
        self.answer(self.dials[1].h2())
        self.bodyOf(deferred)

    def test_reactorThatResolvesNothing(self) -> None:
        """Without a resolver nothing is known of addresses, and nothing is shared."""
        self.pool = ConnectionPool(Clock(), coalesce=True)
        self.clock = self.network.clock = self.pool.reactor  # type: ignore[assignment]
        self.first()
        self.assertApart()

    def test_http11(self) -> None:
        """HTTP/1.1 carries one request at a time: there is nothing to share."""
        deferred = self.ask("a.test")
        connection = self.only().tcp()
        connection.tls(b"http/1.1")
        connection.peer.send(scene.OK11)
        self.bodyOf(deferred)
        self.assertApart()


class SearchTests(CoalescingTestCase):
    """The time that it takes to look for a connection."""

    def setUp(self) -> None:
        super().setUp()
        self.connection = self.first()
        self.resolver.isPatient = True

    def test_cancelled(self) -> None:
        """Who is cancelled meanwhile leaves nothing; a resolver that answers later tells nobody."""
        deferred = self.ask("b.test")
        self.assertEqual(1, len(self.dials))
        deferred.cancel()
        self.reasonOf(deferred, CancelledError)
        self.resolver.answer()
        self.assertEqual(1, len(self.dials))
        self.assertNoRequest(self.connection)

    def test_late(self) -> None:
        """A name that takes too long to look up is part of the time to connect."""
        deferred = self.ask("b.test", timeouts=Timeouts(connect=2))
        self.clock.advance(2)
        self.reasonOf(deferred, ConnectTimedOut)

    def test_goneMeanwhile(self) -> None:
        """A connection that is lost while the name is looked up is none to use."""
        deferred = self.ask("b.test")
        self.connection.lose()
        self.resolver.answer()
        self.answer(self.dials[1].h2())
        self.bodyOf(deferred)

    def test_allWait(self) -> None:
        """One search serves all who wait for it."""
        deferreds = [self.ask("b.test", b"/%d" % number) for number in range(3)]
        self.resolver.answer()
        for number, deferred in enumerate(deferreds):
            self.answer(self.connection, b"", b"/%d" % number)
            self.bodyOf(deferred)
        self.assertEqual(1, len(self.resolver.asked))


class TenantsTests(CoalescingTestCase):
    """Life with others on one connection."""

    def test_slotsInTurn(self) -> None:
        """A slot that comes free is offered to each origin in turn, so that none waits for ever."""
        connection = self.first({MAX_CONCURRENT_STREAMS: 1})
        self.assertShared()
        deferreds = [
            self.ask(host, b"/%s/%d" % (host[:1].encode(), number))
            for host in ("a.test", "b.test")
            for number in range(3)
        ]
        paths = []
        for _ in deferreds:
            request = connection.peer.expectHeaders()
            paths.append(request[b":path"])
            connection.answer(request.streamId)
        for deferred in deferreds:
            self.bodyOf(deferred)
        self.assertEqual(
            [b"/a/0", b"/b/0", b"/a/1", b"/b/1", b"/a/2", b"/b/2"],
            sorted(paths, key=lambda path: path[::-1]),
        )
        self.assertNotEqual(sorted(paths), paths)

    def test_lost(self) -> None:
        """When it is lost, each origin that needs one gets another; they may share that again."""
        connection = self.first()
        self.assertShared()
        deferreds = [self.ask("a.test", b"/x"), self.ask("b.test", b"/x")]
        connection.lose()
        self.assertEqual(3, len(self.dials))
        for number, deferred in enumerate(deferreds):
            self.answer(self.dials[1 + number].h2(), b"", b"/x")
            self.bodyOf(deferred)

    def test_idle(self) -> None:
        """It is idle when nobody uses it, and closed once."""
        connection = self.first()
        self.assertShared()
        self.clock.advance(self.pool.cachedConnectionTimeout)
        self.assertTrue(connection.transport.isClosing)

    def test_third(self) -> None:
        """There is room for more than two."""
        self.first()
        self.assertShared()
        self.assertShared("x.c.test")

    def test_anotherOfItsOwn(self) -> None:
        """An origin that may have two connections finds the shared one once."""
        self.pool.maxConnectionsPerHost = 2
        self.first({MAX_CONCURRENT_STREAMS: 1})
        self.assertShared()
        deferred = self.ask("b.test", b"/1")
        self.assertApart()
        self.answer(self.dials[0], b"", b"/1")
        self.bodyOf(deferred)

    def test_snapshot(self) -> None:
        """It is listed with each origin that uses it."""
        self.first()
        self.assertShared()
        one, two = self.pool.snapshot()
        self.assertEqual(("https://a.test", "https://b.test"), (one.name, two.name))
        self.assertEqual(one.connections, two.connections)


class WaysBackTests(CoalescingTestCase):
    """The server means otherwise."""

    def misdirected(self, host: str = "b.test") -> Connection:
        """A request for a host was answered with 421 on the first connection, then elsewhere."""
        connection = self.dials[0] if self.dials else self.first()
        deferred = self.ask(host)
        connection.answer(connection.peer.expectHeaders().streamId, fields=MISDIRECTED)
        self.answer(self.dials[-1].h2())
        self.bodyOf(deferred)
        return connection

    def test_misdirected(self) -> None:
        """421: the request goes on a connection of its own, and the shared one stays as it is."""
        connection = self.misdirected()
        self.assertEqual(2, len(self.dials))
        self.assertFalse(connection.transport.isClosing)
        deferred = self.ask("a.test")
        self.answer(connection)
        self.bodyOf(deferred)

    def test_rememberedWhenForgotten(self) -> None:
        """It is not tried again, also when the origin has been forgotten meanwhile."""
        self.misdirected()
        self.dials[1].lose()
        self.assertApart()

    def test_rememberedWithinBounds(self) -> None:
        """Not for ever: of very many the oldest is tried again."""
        self.patch(coalescing, "REMEMBERED", 1)
        connection = self.misdirected("b.test")
        self.dials[1].lose()
        self.misdirected("x.c.test")
        deferred = self.ask("b.test")
        self.answer(connection)
        self.bodyOf(deferred)

    def test_several(self) -> None:
        """Each that was on its way is sent again, and only once; none closes the connection."""
        connection = self.first()
        deferreds = [self.ask("b.test", b"/%d" % number) for number in range(2)]
        for _ in deferreds:
            connection.answer(connection.peer.expectHeaders().streamId, fields=MISDIRECTED)
        two = self.dials[1].h2()
        for number, deferred in enumerate(deferreds):
            self.answer(two, b"", b"/%d" % number)
            self.bodyOf(deferred)
        self.assertFalse(connection.transport.isClosing)
        self.assertEqual(2, len(self.dials))

    def test_openOnesFinish(self) -> None:
        """What is open there meanwhile is finished, and its end is nobody's trouble."""
        connection = self.first()
        slow = self.ask("b.test", b"/slow")
        stream = connection.peer.expectHeaders().streamId
        fast = self.ask("b.test", b"/fast")
        connection.answer(connection.peer.expectHeaders().streamId, fields=MISDIRECTED)
        self.answer(self.dials[1].h2(), b"", b"/fast")
        self.bodyOf(fast)
        connection.answer(stream, b"slow")
        self.assertEqual(b"slow", self.bodyOf(slow))
        connection.lose()
        self.assertApart("a.test")

    def test_leftAndCancelled(self) -> None:
        """An origin that has left is not forgotten while something of it is open there."""
        connection = self.first()
        slow = self.ask("b.test", b"/slow")
        connection.peer.expectHeaders()
        fast = self.ask("b.test", b"/fast")
        connection.answer(connection.peer.expectHeaders().streamId, fields=MISDIRECTED)
        fast.cancel()
        self.reasonOf(fast, CancelledError)
        # The slow one is sent again, and the pool knows of it when it closes.
        connection.peer.sendGoAway(1, NO_ERROR)
        closed = self.pool.closeCachedConnections()
        self.reasonOf(slow, ConnectionUnusable)
        connection.lose()
        self.successResultOf(closed)

    def test_leftAndForgotten(self) -> None:
        """Nothing is remembered of one that has left, once the connection is gone."""
        connection = self.first()
        self.assertShared()
        connection.peer.sendOrigin(b"https://x.c.test")
        connection.lose()
        self.assertEqual([], self.pool.snapshot())

    def test_http11Required(self) -> None:
        """HTTP/1.1 is required of one origin: the others go on as they were."""
        connection = self.first()
        deferred = self.ask("b.test")
        connection.peer.sendReset(connection.peer.expectHeaders().streamId, HTTP_1_1_REQUIRED)
        two = self.dials[1].tcp()
        two.tls(b"http/1.1")
        two.peer.send(scene.OK11)
        self.bodyOf(deferred)
        self.assertFalse(connection.transport.isClosing)

    def test_waitersLeave(self) -> None:
        """Who waits for a slot there goes to the new connection as well."""
        connection = self.first({MAX_CONCURRENT_STREAMS: 1})
        first, second = self.ask("b.test", b"/1"), self.ask("b.test", b"/2")
        connection.answer(connection.peer.expectHeaders().streamId, fields=MISDIRECTED)
        two = self.dials[1].h2()
        self.assertEqual({b"/1", b"/2"}, {two.peer.expectHeaders()[b":path"] for _ in range(2)})
        two.answer(1)
        two.answer(3)
        self.bodyOf(first)
        self.bodyOf(second)


class OriginFrameTests(CoalescingTestCase):
    """Servers that say which origins a connection is for (RFC 8336)."""

    def test_named(self) -> None:
        """An origin that is named shares."""
        self.first().peer.sendOrigin(b"https://b.test")
        self.assertShared()

    def test_notNamed(self) -> None:
        """One that is not has a connection of its own, whatever the certificate says."""
        self.first().peer.sendOrigin(b"https://x.c.test")
        self.assertApart()

    def test_itsOwn(self) -> None:
        """The origin that the connection was made for need not be named."""
        connection = self.first()
        connection.peer.sendOrigin()
        deferred = self.ask("a.test")
        self.answer(connection)
        self.bodyOf(deferred)

    def test_namedIsNotEnough(self) -> None:
        """What a server says of itself, its certificate and its address have to bear out."""
        self.resolver.hosts["b.test"] = ["192.0.2.2"]
        self.first().peer.sendOrigin(b"https://b.test", b"https://d.test")
        self.assertApart("b.test")
        self.assertApart("d.test")

    def test_port(self) -> None:
        """An origin is named with its port, unless that is the usual one."""
        deferred = self.ask("a.test", port=8443)
        connection = self.only().tcp()
        transport = connection.peer.transport
        assert isinstance(transport, TLSTransport)
        transport.handle = Handle(COMMON)
        connection.tls().peer.greet()
        connection.peer.sendOrigin(b"https://b.test:8443")
        self.answer(connection)
        self.bodyOf(deferred)
        self.assertShared(port=8443)

    def test_saidLater(self) -> None:
        """A server may say so when the connection is shared already: from then on it is not."""
        connection = self.first()
        self.assertShared()
        self.assertShared("x.c.test")
        connection.peer.sendOrigin(b"https://x.c.test")
        self.assertShared("x.c.test")
        self.assertApart()


class PromiseTests(CoalescingTestCase):
    """Promised responses (RFC 9113 section 8.4) for other origins than the request's."""

    def setUp(self) -> None:
        super().setUp()
        self.pool = ConnectionPool(self.clock, coalesce=True, enablePush=True)

    def isBelieved(self, authority: bytes, port: int = 443, scheme: bytes = b"https") -> bool:
        """Whether a promise for this authority is, on a connection to a.test."""
        deferred = self.ask("a.test", port=port)
        if self.only().negotiator is None:
            connection = self.only().tcp()
            transport = connection.peer.transport
            assert isinstance(transport, TLSTransport)
            transport.handle = Handle(COMMON)
            connection.tls().peer.greet()
            self.promised = 0
        connection = self.only()
        stream = connection.peer.expectHeaders().streamId
        self.promised += 2
        fields = [
            (b":method", b"GET"),
            (b":scheme", scheme),
            (b":authority", authority),
            (b":path", b"/style.css"),
        ]
        connection.peer.sendPromise(stream, self.promised, fields)
        connection.answer(stream)
        return bool(self.successResultOf(deferred).pushes.taken())

    def test_covered(self) -> None:
        """The server may promise for the hosts of its certificate, by its own port."""
        self.assertTrue(self.isBelieved(b"a.test"))
        self.assertTrue(self.isBelieved(b"b.test"))
        self.assertTrue(self.isBelieved(b"x.c.test:443"))
        self.assertFalse(self.isBelieved(b"d.test"))
        self.assertFalse(self.isBelieved(b"b.test:8443"))
        self.assertFalse(self.isBelieved(b"b.test", scheme=b"http"))
        self.assertFalse(self.isBelieved(b"192.0.2.1"))

    def test_off(self) -> None:
        """Where origins share no connections, it may promise for its own alone."""
        self.pool = ConnectionPool(self.clock, enablePush=True)
        self.assertFalse(self.isBelieved(b"b.test"))
        self.assertTrue(self.isBelieved(b"a.test"))


class PolicyTests(SynchronousTestCase):
    """Under which policies an agent's origins may share at all."""

    def mayShare(self, policy: Any, uri: bytes = b"https://a.test/") -> bool:
        """Whether an origin may."""
        target, _ = Agent(MemoryReactorClock(), policy)._target(uri)
        return target.route.place is not None

    def test_alike(self) -> None:
        """Those that are known to trust every host by the same rules: ours, and Twisted's."""
        ours = (None, defaultPolicy(), policyTrusting(AUTHORITY.pem), unverifiedPolicy())
        for policy in (*ours, BrowserLikePolicyForHTTPS()):
            self.assertTrue(self.mayShare(policy))

    def test_unknown(self) -> None:
        """None that may have rules for each host: the second one's would not be asked."""

        class Own(BrowserLikePolicyForHTTPS):
            pass

        wrapped = HostnameCachingHTTPSPolicy(BrowserLikePolicyForHTTPS())
        for policy in (Own(), wrapped):
            self.assertFalse(self.mayShare(policy))

    def test_neverAddressesNorPlain(self) -> None:
        """Nor what has no name, or no TLS."""
        for uri in (b"http://a.test/", b"https://127.0.0.1/", b"https://[::1]/"):
            self.assertFalse(self.mayShare(None, uri))
