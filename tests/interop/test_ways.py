"""
Every direct way to a server: addresses of all kinds, Unix sockets, certificates on both sides.

Owns what only real sockets, resolvers and servers can tell; that each way is asked for rightly is
tested in memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IHostnameResolver, IStreamClientEndpoint
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase
from twisted.web.client import URI, ResponseNeverReceived
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from txhyper import Agent, ConnectionTerminated
from txhyper.client.tls import ClientCertificate, policyTrusting
from txhyper.testing.certs import CertificateAuthority

from . import bodies
from .fetching import Relay, digestOf
from .launchers import (
    ROOT,
    DemandingNginx,
    DemandingNode,
    Launcher,
    ManyWaysNginx,
    Node,
    clientAuthority,
    hasIPv6,
    linkLocal,
    running,
)

HTTP2 = (b"HTTP", 2, 0)
#: Prior knowledge for ``http``.
H2C = [b"h2", b"h2c"]
NO_IPV6 = "" if hasIPv6() else "this machine has no IPv6"
NO_LINK = "" if linkLocal() else "this machine has no link-local address"


class WayTests(TestCase):
    """One server with many ways to it."""

    timeout = 60
    launcher: type[Launcher] = ManyWaysNginx

    def setUp(self) -> None:
        self.server: Any = running(self.launcher)
        self.policy = policyTrusting(self.server.authority.pem)

    def agent(self, *arguments: Any, **options: Any) -> Agent:
        """An agent that trusts the server, closed when the test ends."""
        agent = Agent(reactor, *(arguments or [self.policy]), **options)
        self.addCleanup(agent.close)
        return agent

    async def ask(self, agent: Agent, url: bytes | str) -> str:
        """What is answered, over HTTP/2."""
        response: Any = await agent.request(
            b"GET", url if isinstance(url, bytes) else url.encode("ascii")
        )
        self.assertEqual((response.version, response.code), (HTTP2, 200))
        return (await response.read()).decode("ascii")


@unittest.skipIf(ManyWaysNginx.missing(), ManyWaysNginx.missing())
class AddressTests(WayTests):
    """Over IP."""

    @unittest.skipIf(NO_IPV6, NO_IPV6)
    async def test_address6(self) -> None:
        """A literal IPv6 address is dialled, and verified against the certificate."""
        url = f"https://[::1]:{self.server.port}/address"
        self.assertEqual("::1", await self.ask(self.agent(), url))

    @unittest.skipIf(NO_LINK, NO_LINK)
    async def test_zone(self) -> None:
        """An address that needs a zone is dialled by it, and verified without it."""
        relay = Relay(reactor, self.server.port, *linkLocal("%"))
        self.addCleanup(lambda: Deferred.fromCoroutine(relay.stop()))
        agent = self.agent()
        url = relay.url("/address", f"[{linkLocal('%25')[0]}]")
        self.assertEqual("127.0.0.1", await self.ask(agent, url))
        self.assertEqual(1, relay.accepted)
        await agent.close()

    async def test_localAddress(self) -> None:
        """The server sees a client at the address that it was bound to."""
        for name in ("127.0.0.1", "localhost"):
            url = f"https://{name}:{self.server.port}/address"
            for local in ("127.0.0.2", ("127.0.0.2", 0)):
                agent = self.agent(self.policy, bindAddress=local)
                self.assertEqual("127.0.0.2", await self.ask(agent, url))
        self.assertEqual("127.0.0.1", await self.ask(self.agent(), url.replace(name, "127.0.0.1")))

    async def test_internationalized(self) -> None:
        """A host outside ASCII is looked up, dialled and verified by its IDNA form."""
        resolver = OnlyHere()
        self.addCleanup(reactor.installNameResolver, reactor.installNameResolver(resolver))
        url = f"https://xn--bcher-kva.test:{self.server.port}/address"
        self.assertEqual("127.0.0.1", await self.ask(self.agent(), url))
        with self.assertRaises(ResponseNeverReceived) as caught:
            await self.ask(self.agent(), url.replace("bcher", "bchen"))
        self.assertIn("does not fit", str(caught.exception.reasons[0].value))
        self.assertEqual(["xn--bcher-kva.test", "xn--bchen-kva.test"], resolver.names)


@implementer(IHostnameResolver)
class OnlyHere:
    """Knows every name, for this machine."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def resolveHostName(self, receiver: Any, name: str, portNumber: int = 0, *rest: Any) -> Any:
        self.names.append(name)
        receiver.resolutionBegan(self)
        receiver.addressResolved(IPv4Address("TCP", "127.0.0.1", portNumber))
        receiver.resolutionComplete()
        return self


@implementer(IAgentEndpointFactory)
class BySocket:
    """Endpoints at the server's Unix sockets, whatever the URI says of hosts."""

    def __init__(self, server: ManyWaysNginx, policy: Any) -> None:
        self._server = server
        self._policy = policy

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """The endpoint."""
        if uri.scheme == b"http":
            return UNIXClientEndpoint(reactor, self._server.plain)
        creator = self._policy.creatorForNetloc(uri.host, uri.port)
        return wrapClientTLS(creator, UNIXClientEndpoint(reactor, self._server.secure))


@unittest.skipIf(ManyWaysNginx.missing(), ManyWaysNginx.missing())
class SocketTests(WayTests):
    """Over a Unix socket, by an endpoint factory of the user's."""

    def setUp(self) -> None:
        super().setUp()
        factory = BySocket(self.server, self.policy)
        self.unix = Agent.usingEndpointFactory(reactor, factory, protocols=H2C)
        self.addCleanup(self.unix.close)

    async def check(self, scheme: str) -> None:
        """Many bodies over one connection."""
        self.assertEqual("unix:", await self.ask(self.unix, f"{scheme}://localhost/address"))
        for size in bodies.SIZES[:4]:
            response = await self.unix.request(b"GET", f"{scheme}://localhost/{size}".encode())
            self.assertEqual((size, bodies.digest(size)), await digestOf(response))
        (origin,) = self.unix.pool.snapshot()
        self.assertEqual(["h2"], [state.protocol for state in origin.connections])

    async def test_tls(self) -> None:
        """With TLS, where HTTP/2 is negotiated and the name verified."""
        await self.check("https")

    async def test_wrongName(self) -> None:
        """A Unix socket vouches for nobody: the certificate must be for the host of the URI."""
        with self.assertRaises(ResponseNeverReceived) as caught:
            await self.ask(self.unix, "https://example.com/address")
        self.assertIn("does not fit", str(caught.exception.reasons[0].value))

    async def test_priorKnowledge(self) -> None:
        """Without TLS, where HTTP/2 is known to be spoken."""
        await self.check("http")

    async def test_missing(self) -> None:
        """A socket that is not there is an error of connecting, with Twisted's name for it."""
        gone = mock.Mock(plain=self.server.plain + ".gone")
        agent = Agent.usingEndpointFactory(reactor, BySocket(gone, self.policy))
        self.addCleanup(agent.close)
        with self.assertRaises(ConnectError):
            await agent.request(b"GET", b"http://localhost/")


class KnownClientTests:
    """Servers that ask for a certificate; each class below names one."""

    def shown(self, certificate: Any) -> Agent:
        """An agent that shows this."""
        return self.agent(policyTrusting(self.server.authority.pem, certificate))

    async def test_shown(self) -> None:
        """A client is known by its certificate."""
        issued = clientAuthority().issueClient("somebody")
        agent = self.shown(ClientCertificate(issued.certificatePem, issued.privateKeyPem))
        self.assertEqual("CN=somebody", await self.ask(agent, self.server.url("/who")))

    async def test_chain(self) -> None:
        """What stands between the certificate and its root is sent along."""
        below = CertificateAuthority("below", issuer=clientAuthority())
        issued = below.issueClient("somebody else")
        chain = issued.certificatePem + below.pem
        agent = self.shown(ClientCertificate(chain, issued.privateKeyPem))
        self.assertEqual("CN=somebody else", await self.ask(agent, self.server.url("/who")))

    async def assertTurnedAway(self, certificate: Any) -> None:
        """The server wants nothing of this client."""
        raise NotImplementedError

    async def test_none(self) -> None:
        """Who shows nothing is turned away, and told so."""
        await self.assertTurnedAway(None)

    async def test_stranger(self) -> None:
        """So is who shows a certificate of another authority."""
        issued = CertificateAuthority().issueClient("somebody")
        certificate = ClientCertificate(issued.certificatePem, issued.privateKeyPem)
        await self.assertTurnedAway(certificate)

    def test_commandLine(self) -> None:
        """``hyperfetch`` has its options for it, for certificate and key in two files or one."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        certificate, key = clientAuthority().issueClient("somebody").writeTo(folder)
        both = folder / "both.pem"
        both.write_bytes(certificate.read_bytes() + key.read_bytes())
        for options in (["--cert", certificate, "--key", key], ["--cert", both]):
            line = [sys.executable, "-m", "txhyper.cli", "--cafile", self.server.caFile]
            done = subprocess.run(
                [*line, *options, self.server.url("/who")], cwd=ROOT, capture_output=True
            )
            self.assertEqual((0, b"CN=somebody"), (done.returncode, done.stdout), done.stderr)


@unittest.skipIf(DemandingNginx.missing(), DemandingNginx.missing())
class NginxKnownClientTests(KnownClientTests, WayTests):
    """nginx, which answers a stranger by HTTP."""

    launcher = DemandingNginx

    async def assertTurnedAway(self, certificate: Any) -> None:
        response = await self.shown(certificate).request(b"GET", self.server.url("/who").encode())
        self.assertEqual(400, response.code)
        self.assertIn(b"SSL certificate", await response.read())


class NodeKnownClientTests(KnownClientTests, WayTests):
    """Node, which hangs up on a stranger."""

    launcher = DemandingNode

    async def assertTurnedAway(self, certificate: Any) -> None:
        with self.assertRaises(ResponseNeverReceived) as caught:
            await self.shown(certificate).request(b"GET", self.server.url("/who").encode())
        (reason,) = caught.exception.reasons
        self.assertIsInstance(reason.value, ConnectionTerminated)


class KeyLogTests(TestCase):
    """What ``SSLKEYLOGFILE`` gets of a session with each version of TLS."""

    timeout = 60

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()

    def secrets(self, greeting: bytes) -> list[str]:
        """The kinds of secret that the file has of the session with this ClientHello."""
        random = greeting[11:43].hex()
        lines = [line.split(" ") for line in self.path.read_text("ascii").splitlines()]
        for _, session, secret in lines:
            self.assertEqual(64, len(session))
            self.assertGreaterEqual(len(bytes.fromhex(secret)), 32)
        return [kind for kind, session, _ in lines if session == random]

    async def check(self, launcher: type[Launcher], *kinds: str) -> None:
        """Two sessions, one of an agent's and one of the command line's."""
        server = running(launcher)
        relay = Relay(reactor, server.port)
        self.addCleanup(lambda: Deferred.fromCoroutine(relay.stop()))
        issued = clientAuthority().issueClient("somebody")
        client = ClientCertificate(issued.certificatePem, issued.privateKeyPem)
        agent = Agent(reactor, policyTrusting(server.authority.pem, client))
        with mock.patch.dict(os.environ, {"SSLKEYLOGFILE": str(self.path)}):
            response = await agent.request(b"GET", relay.url("/100"))
            self.assertEqual(bodies.body(100), await response.read())
            await agent.close()
            files = map(str, issued.writeTo(self.path.parent))
            options = [arg for pair in zip(("--cert", "--key"), files, strict=True) for arg in pair]
            line = ["-m", "txhyper.cli", "--cafile", str(server.caFile), *options]
            out, err, status = await getProcessOutputAndValue(
                sys.executable,
                [*line, relay.url("/100").decode()],
                {**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self.assertEqual((0, bodies.body(100), b""), (status, out, err))
        self.assertEqual(2, relay.accepted)
        for connection in relay.factory.accepted:
            secrets = self.secrets(connection.greeting)
            self.assertEqual(sorted(kinds), sorted({*secrets} & {*kinds}), secrets)

    async def test_tls13(self) -> None:
        """With TLS 1.3, where each direction has its secret."""
        await self.check(Node, "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0")

    @unittest.skipIf(DemandingNginx.missing(), DemandingNginx.missing())
    async def test_tls12(self) -> None:
        """With TLS 1.2, where there is one secret."""
        await self.check(DemandingNginx, "CLIENT_RANDOM")
