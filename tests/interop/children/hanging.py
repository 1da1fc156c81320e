"""
A server that hangs: ``CERTIFICATE KEY``; prints ``READY`` and four ports.

The first is for HTTP over TLS, and what hangs there depends on the path; the second accepts
connections and says nothing, not even by TLS; the third accepts none; the fourth shakes hands and
says nothing then. The same paths hang over HTTP/2 and HTTP/1.1.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamReset, WindowUpdated
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from twisted.internet import reactor
from twisted.internet.interfaces import IHandshakeListener, IProtocolNegotiationFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.interop.bodies import MEBIBYTE, body

#: How many streams a client may have.
STREAMS = 3
#: Seconds between two octets of a body that drips.
DRIP = 0.02

Send = Callable[[bytes], None]

#: The siblings that wait for the other half of their bodies.
waiting: list[Callable[[], None]] = []


def answer(path: str, head: Callable[[int], None], send: Send, end: Callable[[], None]) -> None:
    """
    Answer a request, or hang.

    :param head: sends the headers of a response, with a content-length.
    :param send: sends some of its body.
    :param end: tells that it is complete.
    """
    if path == "/silence":
        return
    if path == "/go":
        head(0)
        end()
        while waiting:
            waiting.pop()()
    elif path == "/drip":
        head(MEBIBYTE)
        LoopingCall(send, b".").start(DRIP)
    else:
        head(MEBIBYTE)
        octets, middle = body(MEBIBYTE), MEBIBYTE // 2
        if path == "/headers":
            return
        send(octets[:middle])
        if path == "/sibling":
            waiting.append(lambda: (send(octets[middle:]), end()))


class HTTP2(Protocol):
    """HTTP/2, by h2."""

    def connectionMade(self) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=False))
        self.h2.initiate_connection()
        self.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS})
        self.bodies: dict[int, bytearray] = {}
        self.ended: set[int] = set()
        self.flush()

    def dataReceived(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, RequestReceived):
                self.request(event)
            elif isinstance(event, WindowUpdated):
                for stream in list(self.bodies):
                    self.pump(stream)
            elif isinstance(event, StreamReset):
                self.bodies.pop(event.stream_id, None)
        self.flush()

    def request(self, event: RequestReceived) -> None:
        stream = event.stream_id

        def head(length: int) -> None:
            fields = [(":status", "200"), ("content-length", str(length))]
            self.h2.send_headers(stream, fields)
            self.bodies[stream] = bytearray()

        def send(octets: bytes) -> None:
            if stream in self.bodies:
                self.bodies[stream] += octets
                self.pump(stream)

        def end() -> None:
            self.ended.add(stream)
            self.pump(stream)

        answer(dict(event.headers)[b":path"].decode(), head, send, end)

    def pump(self, stream: int) -> None:
        """Send as much of a body as may be sent."""
        if stream not in self.bodies:
            return
        octets = self.bodies[stream]
        while octets:
            window = self.h2.local_flow_control_window(stream)
            size = min(len(octets), window, self.h2.max_outbound_frame_size)
            if not size:
                break
            self.h2.send_data(stream, bytes(octets[:size]))
            del octets[:size]
        if not octets and stream in self.ended:
            self.h2.end_stream(stream)
            del self.bodies[stream]
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.bodies.clear()


class HTTP1(Protocol):
    """HTTP/1.1, as far as a GET needs it."""

    octets = b""

    def dataReceived(self, data: bytes) -> None:
        self.octets += data
        while b"\r\n\r\n" in self.octets:
            request, _, self.octets = self.octets.partition(b"\r\n\r\n")
            answer(request.split(b" ")[1].decode(), self.head, self.transport.write, lambda: None)

    def head(self, length: int) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % length)


@implementer(IHandshakeListener)
class Either(Protocol):
    """What the handshake has agreed on."""

    inner = Protocol()

    def handshakeCompleted(self) -> None:
        self.inner = HTTP2() if self.transport.negotiatedProtocol == b"h2" else HTTP1()
        self.inner.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        try:
            self.inner.dataReceived(data)
        except ProtocolError:
            # Told on standard error, as everything that is raised from here.
            self.transport.abortConnection()
            raise

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.inner.connectionLost(reason)


@implementer(IProtocolNegotiationFactory)
class TLSFactory(Factory):
    """Agrees to either protocol."""

    noisy = False

    def acceptableProtocols(self) -> list[bytes]:
        return [b"h2", b"http/1.1"]


def main(certificate: str, key: str) -> None:
    pem = Path(certificate).read_bytes() + Path(key).read_bytes()
    options = PrivateCertificate.loadPEM(pem).options()
    here = {"interface": "127.0.0.1"}
    ports = [
        reactor.listenSSL(0, TLSFactory.forProtocol(Either), options, **here).getHost().port,
        reactor.listenTCP(0, Factory.forProtocol(Protocol), **here).getHost().port,
    ]
    deaf = socket.create_server(("127.0.0.1", 0))
    ports.append(deaf.getsockname()[1])
    mute = reactor.listenSSL(0, TLSFactory.forProtocol(Protocol), options, **here)
    ports.append(mute.getHost().port)
    sys.stdout.write("READY " + " ".join(map(str, ports)) + "\n")
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
