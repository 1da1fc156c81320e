"""
Bounds that take more than a few octets to pass: time, further requests, a server that is deaf.

Owns the conversations, which are the same in memory and over TLS. A class that has these tests says
how a server is visited, and whose clock counts (:mod:`tests.hostile.attack`).
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import deferLater
from twisted.web.http_headers import Headers

from tests.core import wire
from tests.hostile.attack import CONTENT, HostileTests, User
from tests.hostile.server import RawServer, head
from txhyper import Agent, Bounds, Request
from txhyper.errors import BoundExceeded, StreamRefused

__all__ = ["ScenarioTests"]


def answered(server: RawServer) -> None:
    """Answer the latest request."""
    stream = server.streams[-1]
    server.say(head(stream) + wire.data(stream, CONTENT, end=True))


class ScenarioTests(HostileTests):
    """The tests of both ways to meet a server."""

    origin: str
    reactor: Any

    def test_attempts(self) -> Any:
        """A server that refuses every stream is asked so often, and no more."""

        def refuse(server: RawServer) -> None:
            number = len(server.streams)
            server.say(wire.reset(server.streams[-1], wire.REFUSED_STREAM))
            server.wait(lambda: len(server.streams) > number, refuse)

        async def conduct(agent: Agent, servers: list[RawServer]) -> None:
            user = User(agent.send(Request(b"GET", self.origin.encode() + b"/")))
            await user.over
            await agent.close()
            (server,) = servers
            await server.whenLost
            self.assertEqual((1, 2), (user.fired, len(server.streams)))
            self.assertIs(StreamRefused, type(user.outcome))
            self.assertIn(f"{self.origin}: stream {server.streams[1]}", str(user.outcome))
            self.assertIn("REFUSED_STREAM", str(user.outcome))

        return self.visit(lambda: RawServer(refuse), conduct, bounds=Bounds(attempts=2))

    def test_continueTimeout(self) -> Any:
        """A body is not held back for ever for a server that says neither yes nor no."""

        def patient(server: RawServer) -> None:
            server.wait(lambda: server.frames[-1][:2] == (wire.DATA, wire.END_STREAM), answered)

        async def conduct(agent: Agent, servers: list[RawServer]) -> None:
            headers = Headers({b"expect": [b"100-continue"]})
            request = Request(b"POST", self.origin.encode() + b"/", headers, b"body")
            begun = self.reactor.seconds()
            user = User(agent.send(request))
            await user.over
            await agent.close()
            self.assertEqual((None, CONTENT), (user.outcome, user.body))
            self.assertGreaterEqual(self.reactor.seconds() - begun, 0.05)

        return self.visit(lambda: RawServer(patient), conduct, bounds=Bounds(continue_timeout=0.05))

    def test_pendingControlOctets(self) -> Any:
        """
        A server that wants answers and reads none is cut off, with an error for each request. It
        hears of that from TCP, as it would read nothing else.
        """

        def deafen(server: RawServer) -> None:
            server.say(
                wire.settings_frame([(wire.INITIAL_WINDOW_SIZE, 2**31 - 1)])
                + wire.window_update(0, 2**31 - 1 - 65535)
            )
            server.transport.pauseProducing()
            ask(server)

        def ask(server: RawServer) -> None:
            if not server.isLost:
                server.say(100 * wire.frame(wire.PING, 0, 0, bytes(8)))
                self.reactor.callLater(0.01, ask, server)

        async def conduct(agent: Agent, servers: list[RawServer]) -> None:
            origin = self.origin.encode()
            users = [
                User(agent.send(Request(b"POST", origin + b"/", body=bytes(32 << 20)))),
                User(agent.send(Request(b"GET", origin + b"/"))),
            ]
            for user in users:
                await user.over
                self.assertEqual((1, 1), (user.fired, user.ended))
                self.assertIs(BoundExceeded, type(user.outcome))
                self.assertEqual("pending_control_octets", user.outcome.bound)
                text = str(user.outcome)
                self.assertTrue(text.startswith(f"{self.origin}: more than 1000 octets"), text)
                self.assertIn("bound pending_control_octets", text)
            await agent.close()
            (server,) = servers
            await server.whenLost
            # Until it has noticed.
            await deferLater(self.reactor, 0.02)

        bounds = Bounds(pending_control_octets=1000, useless_frames=10**9)
        return self.visit(lambda: RawServer(deafen, 2), conduct, bounds=bounds)

    def test_uselessFramesPerSecond(self) -> Any:
        """Frames without progress are forgiven with time: a server may ask how we are, for ever."""
        rounds = 20

        def ask(server: RawServer, asked: int = 0) -> None:
            if asked < rounds:
                server.say(8 * wire.frame(wire.PING, 0, 0, bytes(8)))
                self.reactor.callLater(0.02, ask, server, asked + 1)
            else:
                answered(server)

        async def conduct(agent: Agent, servers: list[RawServer]) -> None:
            user = User(agent.send(Request(b"GET", self.origin.encode() + b"/")))
            await user.over
            await agent.close()
            self.assertEqual((None, CONTENT), (user.outcome, user.body))
            (server,) = servers
            await server.whenLost
            answers = [frame for frame in server.frames if frame[0] == wire.PING]
            self.assertEqual(8 * rounds, len(answers))

        bounds = Bounds(useless_frames=10, useless_frames_per_second=1000.0)
        return self.visit(lambda: RawServer(ask), conduct, bounds=bounds)
