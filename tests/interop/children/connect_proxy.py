"""
A proxy that knows CONNECT and no more: ``[--tls CERTIFICATE KEY] [--user USER:PASSWORD]``.

Prints ``READY port``.
"""

from __future__ import annotations

import argparse
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import PrivateCertificate
from twisted.python.failure import Failure
from zope.interface import implementer


class Far(Protocol):
    """The connection to where the tunnel leads."""

    def __init__(self, near: Near) -> None:
        self.near = near

    def dataReceived(self, data: bytes) -> None:
        self.near.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.near.transport.loseConnection()


class Near(Protocol):
    """The connection from the client."""

    factory: ConnectProxy

    def __init__(self) -> None:
        self.head = b""
        self.far: Any = None

    def dataReceived(self, data: bytes) -> None:
        if self.far is not None:
            self.far.transport.write(data)
            return
        self.head += data
        if b"\r\n\r\n" in self.head:
            self.transport.pauseProducing()
            self.answer(*self.head.split(b"\r\n"))

    def answer(self, first: bytes, *fields: bytes) -> None:
        """Make the connection that the head asks for, or refuse."""
        method, target, _ = first.split(b" ")
        self.factory.heads.append(self.head)
        if method != b"CONNECT":
            self.refuse(b"405 Method Not Allowed")
        elif not self.factory.authorization <= {*fields}:
            self.refuse(b"407 Proxy Authentication Required")
        else:
            host, _, port = target.rpartition(b":")
            endpoint = HostnameEndpoint(reactor, host.strip(b"[]").decode(), int(port))
            connecting = endpoint.connect(Factory.forProtocol(lambda: Far(self)))
            connecting.addCallbacks(self.open, lambda _: self.refuse(b"502 Bad Gateway"))

    def refuse(self, status: bytes) -> None:
        self.transport.write(b"HTTP/1.1 %b\r\ncontent-length: 3\r\n\r\nno\n" % status)
        self.transport.loseConnection()

    def open(self, far: Far) -> None:
        self.far = far
        self.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        # Each end waits for the other.
        far.transport.registerProducer(self.transport, True)
        self.transport.registerProducer(far.transport, True)
        self.transport.resumeProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.far is not None:
            self.far.transport.unregisterProducer()
            self.far.transport.loseConnection()


@implementer(IProtocolNegotiationFactory)
class ConnectProxy(Factory):
    """
    The proxy.

    :ivar heads: what it was asked.
    """

    noisy = False
    protocol = Near

    def __init__(self, user: str | None = None) -> None:
        basic = b"" if user is None else b64encode(user.encode())
        self.authorization = {b"Proxy-Authorization: Basic " + basic} if basic else set()
        self.heads: list[bytes] = []

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--user")
    given = parser.parse_args()
    factory = ConnectProxy(given.user)
    if given.tls:
        pem = b"".join(Path(path).read_bytes() for path in given.tls)
        options = PrivateCertificate.loadPEM(pem).options()
        port = reactor.listenSSL(0, factory, options, interface="127.0.0.1")
    else:
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    sys.stdout.write(f"READY {port.getHost().port}\n")
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    main()
