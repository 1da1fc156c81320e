"""Server push by hyper's API, from servers that others have written."""

from __future__ import annotations

import unittest

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import TestCase

from txhyper import HTTP20Connection
from txhyper.adapters.hyper import HTTP20Push
from txhyper.client.tls import policyTrusting

from . import bodies
from .launchers import Launcher, Node, PushingApache, PushingNghttpd, running


class PushTests:
    """What holds for every server; each class below names one."""

    launcher: type[Launcher]
    #: What promises are made beside, and what comes of it.
    path: str
    body: bytes
    #: The sizes of the bodies that are promised, which are their paths as well.
    promised: tuple[int, ...]
    timeout = 60

    def connection(self, enable_push: bool = True) -> HTTP20Connection:
        """A connection to the server."""
        server = running(self.launcher)
        return HTTP20Connection(
            f"localhost:{server.port}",
            enable_push=enable_push,
            ssl_context=policyTrusting(server.authority.pem),
        )

    async def pushes(self, conn: HTTP20Connection) -> list[HTTP20Push]:
        """Ask, read the response, and take what was promised with it."""
        conn.request("GET", self.path)
        response = await conn.get_response()
        self.assertEqual(await response.read(), self.body)
        return [push async for push in conn.get_pushes(capture_all=True)]

    async def test_bodies(self) -> None:
        """What was promised arrives octet for octet."""
        async with self.connection() as conn:
            pushes = await self.pushes(conn)
            paths = [b"/%d" % size for size in self.promised]
            self.assertEqual([push.path for push in pushes], paths)
            for push, size in zip(pushes, self.promised, strict=True):
                self.assertEqual((push.method, push.scheme), (b"GET", b"https"))
                response = await push.get_response()
                self.assertEqual((response.status, response.streamId), (200, push.streamId))
                self.assertEqual(await response.read(), bodies.body(size))

    async def test_cancelled(self) -> None:
        """What is cancelled is no burden: the connection serves on."""
        async with self.connection() as conn:
            for _ in range(20):
                for push in await self.pushes(conn):
                    waiting = push.get_response()
                    # It may have come by now.
                    hasCome = waiting.called
                    push.cancel()
                    if not hasCome:
                        await self.assertFailure(waiting, CancelledError)
            (origin,) = conn._agent.pool.snapshot()
            self.assertEqual(1, len(origin.connections))

    async def test_notAsked(self) -> None:
        """Who does not ask for it gets none."""
        async with self.connection(enable_push=False) as conn:
            self.assertEqual(await self.pushes(conn), [])


class NodePushTests(PushTests, TestCase):
    """Node's http2 server."""

    launcher = Node
    path = "/push"
    body = b"a page"
    promised = (bodies.MEBIBYTE, 1000, 0)


@unittest.skipIf(PushingNghttpd.missing(), PushingNghttpd.missing())
class NghttpdPushTests(PushTests, TestCase):
    """nghttp2's server."""

    launcher = PushingNghttpd
    path = "/0"
    body = b""
    promised = (bodies.MEBIBYTE, 100)


@unittest.skipIf(PushingApache.missing(), PushingApache.missing())
class ApachePushTests(PushTests, TestCase):
    """Apache, by its H2PushResource."""

    launcher = PushingApache
    path = "/0"
    body = b""
    promised = PushingApache.promised
