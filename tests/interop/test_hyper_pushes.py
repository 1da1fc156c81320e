"""Server push by hyper's API, from servers that others have written."""

from __future__ import annotations

import unittest
from typing import ClassVar

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import TestCase

from txhyper import HTTP20Connection
from txhyper.adapters.hyper import HTTP20Push
from txhyper.client.tls import policyTrusting

from . import bodies
from .launchers import Launcher, Nghttpd, Node, running

#: The sizes of the bodies that are promised, which are their paths as well.
PROMISED = (100, bodies.MEBIBYTE)


class PushingNghttpd(Nghttpd):
    """nghttp2's server, which promises two bodies beside one."""

    label = "nghttpd, pushing"
    options: ClassVar[list[str]] = [
        f"--push=/{bodies.MEBIBYTE}={','.join(f'/{size}' for size in PROMISED)}"
    ]


class PushTests:
    """What holds for every server; each class below names one."""

    launcher: type[Launcher]
    #: What two bodies are promised beside.
    path: str
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
        self.assertEqual(await response.read(), bodies.body(bodies.MEBIBYTE))
        return [push async for push in conn.get_pushes(capture_all=True)]

    async def test_bodies(self) -> None:
        """What was promised arrives octet for octet."""
        async with self.connection() as conn:
            pushes = await self.pushes(conn)
            self.assertEqual([push.path for push in pushes], [b"/%d" % size for size in PROMISED])
            for push, size in zip(pushes, PROMISED, strict=True):
                self.assertEqual((push.method, push.scheme), (b"GET", b"https"))
                response = await push.get_response()
                self.assertEqual((response.status, response.streamId), (200, push.streamId))
                self.assertEqual(await response.read(), bodies.body(size))

    async def test_cancelled(self) -> None:
        """What is cancelled is no burden: the connection serves on."""
        async with self.connection() as conn:
            for _ in range(20):
                # The first may have come by now, in full; the other does not fit into the window.
                *_, push = await self.pushes(conn)
                waiting = push.get_response()
                push.cancel()
                if not waiting.called:
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
    path = "/promising"


@unittest.skipIf(Nghttpd.missing(), Nghttpd.missing())
class NghttpdPushTests(PushTests, TestCase):
    """nghttp2's server."""

    launcher = PushingNghttpd
    path = f"/{bodies.MEBIBYTE}"
