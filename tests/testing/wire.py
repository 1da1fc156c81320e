"""
A plain h2 client wired to the server's protocol in memory, for this folder's tests.

The client is h2 as it comes, so that the server is judged by somebody else's reading of the RFC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import h2.connection
import h2.events
from h2.config import H2Configuration
from h2.settings import SettingCodes, Settings
from twisted.internet.testing import StringTransport

from txhyper.testing.connection import HTTP2ServerProtocol
from txhyper.testing.site import Site


class Transport(StringTransport):
    """Keeps each write apart, and asks for a pause once it holds more than its high mark."""

    highMark: int | None = None
    isAborted = False

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Take one write."""
        self.writes.append(data)
        if self.highMark is not None and sum(map(len, self.writes)) > self.highMark:
            assert self.producer is not None
            self.producer.pauseProducing()

    def abortConnection(self) -> None:
        """Note the abort."""
        self.isAborted = True
        self.loseConnection()


class Owner:
    """Counts connections in and out."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def connected(self, connection: HTTP2ServerProtocol) -> None:
        """One came."""
        self.calls.append("connected")

    def disconnected(self, connection: HTTP2ServerProtocol) -> None:
        """One went."""
        self.calls.append("disconnected")


@dataclass
class Answer:
    """What the client has seen of one response."""

    status: int | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    interim: list[list[tuple[bytes, bytes]]] = field(default_factory=list)
    isEnded: bool = False
    resetCode: int | None = None

    @property
    def body(self) -> bytes:
        """The body so far."""
        return b"".join(self.pieces)

    def header(self, name: bytes) -> bytes | None:
        """A field's value."""
        return dict(self.headers).get(name)


class Wire:
    """A client and a server, and the octets between them."""

    def __init__(
        self,
        site: Site,
        *,
        window: int = 65535,
        connectionWindow: int = 2**24,
        enablePush: bool = False,
        maxPushed: int = 100,
        **options: Any,
    ) -> None:
        self.owner = Owner()
        self.transport = Transport()
        self.server = HTTP2ServerProtocol(site, self.owner, **options)
        self.client = h2.connection.H2Connection(
            H2Configuration(client_side=True, header_encoding=None)
        )
        self.client.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: int(enablePush),
                SettingCodes.INITIAL_WINDOW_SIZE: window,
                SettingCodes.MAX_CONCURRENT_STREAMS: maxPushed,
            },
        )
        #: Whether the client gives back the window for what it receives.
        self.isPaying = True
        self.answers: dict[int, Answer] = {}
        self.events: list[h2.events.Event] = []
        self.promises: dict[int, list[tuple[bytes, bytes]]] = {}
        self.server.makeConnection(self.transport)
        self.client.initiate_connection()
        if connectionWindow > 65535:
            self.client.increment_flow_control_window(connectionWindow - 65535)

    def send(
        self,
        method: bytes = b"GET",
        path: bytes = b"/",
        *headers: tuple[bytes, bytes],
        body: bytes | None = None,
        end: bool = True,
    ) -> int:
        """Have the client send a request, and let the server have it with the next exchange."""
        streamId = self.client.get_next_available_stream_id()
        fields = [
            (b":method", method),
            (b":scheme", b"https"),
            (b":authority", b"example.test"),
            (b":path", path),
            *headers,
        ]
        self.client.send_headers(streamId, fields, end_stream=end and body is None)
        if body is not None:
            self.sendBody(streamId, body, end=end)
        return streamId

    def sendBody(self, streamId: int, body: bytes, *, end: bool = True) -> None:
        """Have the client send all of a body, exchanging while its windows are closed."""
        left = memoryview(body)
        while left:
            room = min(self.client.local_flow_control_window(streamId), 16384)
            assert room > 0, "the client's window is closed"
            self.client.send_data(streamId, left[:room].tobytes())
            left = left[room:]
            if self.client.local_flow_control_window(streamId) == 0:
                self.exchange()
        if end:
            self.client.end_stream(streamId)

    def ask(
        self,
        method: bytes = b"GET",
        path: bytes = b"/",
        *headers: tuple[bytes, bytes],
        body: bytes | None = None,
    ) -> Answer:
        """Send a request and return what has come of it when both sides have fallen silent."""
        streamId = self.send(method, path, *headers, body=body)
        self.exchange()
        return self.answers[streamId]

    def exchange(self) -> None:
        """Carry octets to and fro until nobody has any to send."""
        while True:
            sent = self.client.data_to_send()
            if sent:
                self.server.dataReceived(sent)
            received = self.drain()
            if not sent and not received:
                return

    def drain(self) -> bytes:
        """Let the client read what the server has written."""
        received = b"".join(self.transport.writes)
        self.transport.writes.clear()
        if received:
            for event in self.client.receive_data(received):
                self._note(event)
        return received

    def answer(self, streamId: int) -> Answer:
        """What the client has seen of a response so far."""
        return self.answers.setdefault(streamId, Answer())

    def seen(self, kind: type[Any]) -> list[Any]:
        """The client's events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def _note(self, event: Any) -> None:
        self.events.append(event)
        if isinstance(event, h2.events.PushedStreamReceived):
            self.promises[event.pushed_stream_id] = list(event.headers)
        elif isinstance(event, h2.events.InformationalResponseReceived):
            self.answer(event.stream_id).interim.append(list(event.headers))
        elif isinstance(event, h2.events.ResponseReceived):
            answer = self.answer(event.stream_id)
            answer.status = int(dict(event.headers)[b":status"])
            answer.headers = [pair for pair in event.headers if pair[0] != b":status"]
        elif isinstance(event, h2.events.DataReceived):
            self.answer(event.stream_id).pieces.append(event.data)
            if self.isPaying and event.flow_controlled_length:
                self.client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            self.answer(event.stream_id).trailers = list(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            self.answer(event.stream_id).isEnded = True
        elif isinstance(event, h2.events.StreamReset):
            self.answer(event.stream_id).resetCode = int(event.error_code)
