"""Tests for :mod:`txhyper.adapters.hyper_pushes`: promises in hyper's shape."""

from __future__ import annotations

import gc
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from tests.adapters.scene import OK, HyperTestCase
from tests.client.network import Connection
from txhyper import HTTP11Connection, HTTP20Connection, InvalidRequest
from txhyper.adapters.hyper import HTTP20Push, HTTPResponse
from txhyper.errors import StreamReset

#: The identifier of a setting.
ENABLE_PUSH = 2


class PushTests(HyperTestCase):
    """A connection on which promises are made."""

    connection: Connection

    def setUp(self) -> None:
        """A request that is under way."""
        super().setUp()
        self.conn = self.another(HTTP20Connection, enable_push=True)
        self.conn.request("GET", "/")
        self.connection = self.server()

    def promise(self, streamId: int, path: bytes, of: int = 1) -> None:
        """The server promises a path."""
        fields = [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", b"a.test"),
            (b":path", path),
            (b"x-a", b"1"),
        ]
        self.connection.peer.sendPromise(of, streamId, fields)

    def respond(self, endStream: bool = False) -> HTTPResponse:
        """The response to the request."""
        self.connection.peer.sendHeaders(1, OK, endStream)
        response: HTTPResponse = self.successResultOf(self.conn.get_response())
        return response

    def pushes(self, *args: Any) -> list[HTTP20Push]:
        """What get_pushes gives without waiting."""

        async def each() -> list[HTTP20Push]:
            return [push async for push in self.conn.get_pushes(*args)]

        return list(self.run_(each()))

    def test_asked(self) -> None:
        """The server is told whether it may: not unless enable_push says so."""
        for options, value in [({}, 0), ({"enable_push": True}, 1)]:
            self.another(HTTP20Connection, **options).connect()
            settings = self.server().peer.expect(4).payload
            self.assertIn(ENABLE_PUSH.to_bytes(2, "big") + value.to_bytes(4, "big"), settings)

    def test_parts(self) -> None:
        """A promise tells the request that it answers."""
        self.promise(2, b"/style.css")
        response = self.respond()
        (push,) = self.pushes()
        self.assertEqual(
            (b"GET", b"https", b"a.test", b"/style.css", 2),
            (push.method, push.scheme, push.authority, push.path, push.streamId),
        )
        self.assertEqual([b"1"], push.request_headers["X-A"])
        response.close()

    def test_soFar(self) -> None:
        """Without capture_all it waits for nothing, and gives each promise once."""
        self.assertEqual([], self.pushes())
        self.promise(2, b"/a")
        response = self.respond()
        self.promise(4, b"/b")
        first = self.pushes()
        self.assertEqual([b"/a", b"/b"], [push.path for push in first])
        self.assertEqual([], self.pushes())
        self.promise(6, b"/c")
        second = self.pushes(1)
        self.assertEqual([b"/c"], [push.path for push in second])
        response.close()

    def test_cancelledWhileWaiting(self) -> None:
        """One that is cancelled while it waits has not ended: what comes then comes to it."""
        pushes = self.conn.get_pushes(capture_all=True)
        # Once before there is a response, and once beside it.
        for respond in (True, False):
            waiting = Deferred.fromCoroutine(pushes.__anext__())
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
            if respond:
                response = self.respond()
        waiting = Deferred.fromCoroutine(pushes.__anext__())
        self.assertNoResult(waiting)
        self.promise(2, b"/a")
        self.assertEqual(b"/a", self.successResultOf(waiting).path)
        response.close()

    def test_leftEarly(self) -> None:
        """Those that were not reached are there the next time, and are not cancelled."""
        for streamId in (2, 4):
            self.promise(streamId, b"/%d" % streamId)
        response = self.respond()

        async def one() -> HTTP20Push:
            async for push in self.conn.get_pushes():
                return push
            raise AssertionError("no push")

        first = self.run_(one())
        gc.collect()
        (second,) = self.pushes()
        self.assertEqual([b"/2", b"/4"], [first.path, second.path])
        self.assertNotIn(3, [frame.kind for frame in self.connection.peer.drain()])
        response.close()

    def test_all(self) -> None:
        """With capture_all it waits: for the response, for more, until the response has ended."""
        got: list[bytes] = []

        async def each() -> None:
            async for push in self.conn.get_pushes(capture_all=True):
                got.append(push.path)  # noqa: PERF401 - what has come so far counts

        done = Deferred.fromCoroutine(each())
        self.promise(2, b"/a")
        self.assertEqual([], got)
        response = self.respond()
        self.assertEqual([b"/a"], got)
        self.promise(4, b"/b")
        self.assertEqual([b"/a", b"/b"], got)
        self.assertNoResult(done)
        self.connection.peer.sendData(1, b"end", endStream=True)
        self.assertEqual(b"end", self.successResultOf(response.read()))
        self.successResultOf(done)

    def test_allOfNothing(self) -> None:
        """It ends as well if there is no response."""

        async def each() -> list[HTTP20Push]:
            return [push async for push in self.conn.get_pushes(1, capture_all=True)]

        done = Deferred.fromCoroutine(each())
        self.connection.peer.sendReset(1, 2)
        self.assertEqual([], self.successResultOf(done))
        # Likewise when that is known already.
        self.assertEqual([], self.pushes(1, True))

    def test_waitCancelled(self) -> None:
        """Cancelling the wait cancels nothing else."""
        done = Deferred.fromCoroutine(anext(self.conn.get_pushes(capture_all=True)))
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual(200, self.respond(endStream=True).status)

    def test_thrownAway(self) -> None:
        """Of a response that was thrown away there are none, and its promises are cancelled."""
        self.promise(2, b"/a")
        self.respond()
        gc.collect()
        self.assertEqual([], self.pushes())
        resets = {f.streamId for f in self.connection.peer.drain() if f.kind == 3}
        self.assertEqual({1, 2}, resets)

    def test_nothingRequested(self) -> None:
        """Without a request there is none to ask about."""
        fresh = self.another(HTTP20Connection)
        error = self.assertRaises(InvalidRequest, fresh.get_pushes)
        self.assertIn("nothing has been requested yet", str(error))

    def test_unknown(self) -> None:
        """Of a request that there is not, there are none either, and that is said."""
        for stream_id in (0, 2, 3):
            self.assertRaises(InvalidRequest, self.conn.get_pushes, stream_id)
        self.assertRaises(InvalidRequest, self.another(HTTP20Connection).get_pushes)

    def test_response(self) -> None:
        """The promised response is one as any other."""
        self.promise(2, b"/a")
        response = self.respond()
        (push,) = self.pushes()
        pushed = push.get_response()
        self.assertNoResult(pushed)
        self.connection.peer.sendHeaders(2, OK)
        self.connection.peer.sendData(2, b"style", endStream=True)
        taken = self.successResultOf(pushed)
        self.assertEqual((200, 2), (taken.status, taken.streamId))
        self.assertEqual(b"style", self.successResultOf(taken.read()))
        response.close()

    def test_responseFails(self) -> None:
        """If it fails, that is told in our words."""
        self.promise(2, b"/a")
        response = self.respond()
        (push,) = self.pushes()
        self.connection.peer.sendReset(2, 2)
        self.failureResultOf(push.get_response(), StreamReset)
        response.close()

    def test_cancel(self) -> None:
        """One that is cancelled is reset, and the response is not."""
        self.promise(2, b"/a")
        response = self.respond()
        (push,) = self.pushes()
        pushed = push.get_response()
        push.cancel()
        self.assertEqual(8, self.connection.peer.expectReset(2))
        self.failureResultOf(pushed, CancelledError)
        response.close()

    def test_cancelLate(self) -> None:
        """One whose response is here is given up with it; that can be closed all the same."""
        self.promise(2, b"/a")
        response = self.respond()
        (push,) = self.pushes()
        self.connection.peer.sendHeaders(2, OK)
        pushed = self.successResultOf(push.get_response())
        push.cancel()
        self.assertEqual(8, self.connection.peer.expectReset(2))
        pushed.close()
        response.close()

    def test_closed(self) -> None:
        """Closing the connection closes what was pushed as well."""
        self.promise(2, b"/a")
        response = self.respond(endStream=True)
        (push,) = self.pushes()
        self.connection.peer.sendHeaders(2, OK)
        pushed = self.successResultOf(push.get_response())
        closed = self.conn.close()
        self.assertEqual(8, self.connection.peer.expectReset(2))
        for each in (response, pushed):
            self.assertRaises(RuntimeError, each.read)
        self.connection.lose()
        self.successResultOf(closed)

    def test_http11(self) -> None:
        """Over HTTP/1.1 there is none."""
        self.conn: Any = self.another(HTTP11Connection, "a.test:443")
        self.conn.request("GET", "/")
        self.server11().peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        response = self.successResultOf(self.conn.get_response())
        self.assertEqual([], self.pushes(1, True))
        response.close()
