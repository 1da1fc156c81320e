"""
Paths and the endpoints that answer them.

Owns what a request looks like to an endpoint (:class:`ServerRequest`, :class:`RequestBody`) and the
table of paths (:class:`Site`). It never touches the wire: a connection of
:mod:`txhyper.testing.server` makes the requests and calls the endpoints, which users write.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txhyper.errors import BodyTooLarge
from txhyper.testing.responder import HeaderPairs, Responder

__all__ = ["Endpoint", "Refusal", "RequestBody", "ServerRequest", "Site"]


class Refusal(Exception):
    """
    What an endpoint raises to answer with an error.

    The answer is JSON: ``{"error": message}``.
    """

    def __init__(self, status: int, message: str, headers: HeaderPairs = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


class RequestBody:
    """
    A request's body, paid for as it is read.

    While an endpoint does not read, the client's stream window stays closed, and at most one window
    of octets waits here.
    """

    def __init__(self, started: Callable[[], None], consumed: Callable[[int], None]) -> None:
        self._started = started
        self._consumed = consumed
        self._chunks: deque[tuple[bytes, int]] = deque()
        self._waiting: Deferred[None] | None = None
        self._isReading = False
        self._failure: Failure | None = None
        #: Whether the client has sent all of it.
        self.hasEnded = False

    # What an endpoint calls.

    def each(self, callback: Callable[[bytes], object]) -> Deferred[None]:
        """
        Give the callback each piece of the body as it comes.

        :param callback: may return a Deferred; the next piece then waits until it has fired, and
            so does the client, for want of a window.
        :return: a Deferred that fires at the body's end. It fails with what the callback raised, or
            with one of :mod:`txhyper.errors` when the body broke off.
        :raise RuntimeError: somebody reads it already.
        """
        if self._isReading:
            raise RuntimeError("the body is being read already")
        self._isReading = True
        return Deferred.fromCoroutine(self._drain(callback))

    def read(self, limit: int | None = None) -> Deferred[bytes]:
        """
        Read the whole body.

        :param limit: the most octets it may have. With more, the Deferred fails with
            :class:`txhyper.errors.BodyTooLarge`; left alone by the endpoint, that becomes a 413.
        """
        pieces: list[bytes] = []
        size = 0

        def add(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            if limit is not None and size > limit:
                raise BodyTooLarge(f"the body has more than {limit} octets")
            pieces.append(piece)

        return self.each(add).addCallback(lambda _: b"".join(pieces))

    async def _drain(self, callback: Callable[[bytes], object]) -> None:
        if not self.hasEnded:
            self._started()
        while True:
            while self._chunks:
                piece, size = self._chunks.popleft()
                result = callback(piece)
                if isinstance(result, Deferred):
                    await result
                self._consumed(size)
            if self._failure is not None:
                self._failure.raiseException()
            if self.hasEnded:
                return
            self._waiting = Deferred()
            try:
                await self._waiting
            finally:
                self._waiting = None

    # What its connection calls.

    def received(self, piece: bytes, size: int, isLast: bool = False) -> None:
        """A piece came; ``size`` is what it cost of the window, padding included."""
        self.hasEnded = isLast
        self._chunks.append((piece, size))
        self._wake()

    def ended(self) -> None:
        """The client has sent all of it."""
        self.hasEnded = True
        self._wake()

    def failed(self, failure: Failure) -> None:
        """No more will come, and what came is not all."""
        self._failure = failure
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.callback(None)


class ServerRequest:
    """A request as the server has received it."""

    def __init__(
        self,
        fields: list[tuple[bytes, bytes]],
        body: RequestBody,
        *,
        streamId: int,
        peer: str,
    ) -> None:
        pseudo = {name: value for name, value in fields if name.startswith(b":")}
        #: The method, as it came.
        self.method: bytes = pseudo[b":method"]
        #: The path and query, as they came; empty for CONNECT.
        self.target: bytes = pseudo.get(b":path", b"")
        self.scheme: str = pseudo.get(b":scheme", b"").decode("ascii", "replace")
        #: The fields, in order, their names as HTTP/2 has them: in lower case.
        self.headers: list[tuple[bytes, bytes]] = [
            (name, value) for name, value in fields if not name.startswith(b":")
        ]
        #: The host, and port, that the client believes it talks to.
        self.authority: str = (pseudo.get(b":authority") or self.header(b"host") or b"").decode(
            "utf-8", "replace"
        )
        path, _, query = self.target.decode("utf-8", "replace").partition("?")
        #: The path alone, its percent-encoding still in place.
        self.path: str = path
        #: The query's names and values, decoded, in order.
        self.arguments: list[tuple[str, str]] = parse_qsl(query, keep_blank_values=True)
        #: What the braces of the site's pattern stood for, decoded.
        self.variables: dict[str, str] = {}
        self.body = body
        #: The fields that came after the body; empty until it has ended.
        self.trailers: list[tuple[bytes, bytes]] = []
        self.streamId = streamId
        #: The client's address.
        self.peer = peer

    @property
    def url(self) -> str:
        """The whole URL that the client asked for."""
        return f"{self.scheme}://{self.authority}{self.target.decode('utf-8', 'replace')}"

    def header(self, name: bytes) -> bytes | None:
        """
        A field's value, or None when there is none of this name (given in lower case).

        Several of one name are joined as RFC 9110 section 5.3 and RFC 9113 section 8.2.3 say.
        """
        values = [value for each, value in self.headers if each == name]
        glue = b"; " if name == b"cookie" else b", "
        return glue.join(values) if values else None

    def argument(self, name: str, default: str | None = None) -> str:
        """
        The first value of this name in the query, or else the default.

        :raise Refusal: it is missing, and there is no default: a 400.
        """
        for each, value in self.arguments:
            if each == name:
                return value
        if default is None:
            raise Refusal(400, f"the query lacks {name!r}")
        return default


#: Answers a request. It may return a Deferred, or be a coroutine function: the Deferred is
#: cancelled when the client gives up, and an exception becomes a 500 on this stream alone.
Endpoint = Callable[[ServerRequest, Responder], object]


def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a path pattern, whose braces ``re.escape`` has escaped like all the rest."""
    expression = re.sub(
        r"\\\{(\w+)(\\\*)?\\\}",
        lambda found: f"(?P<{found[1]}>{'.*' if found[2] else '[^/]+'})",
        re.escape(pattern),
    )
    return re.compile(expression, re.DOTALL)


class Site:
    """
    Which endpoint answers which path.

    A pattern is a path in which ``{name}`` stands for one segment and ``{name*}`` for all the rest;
    what they stood for is in :attr:`ServerRequest.variables`::

        site = Site()

        @site.route("/greet/{name}")
        def greet(request, responder):
            responder.respond(200, [(b"content-type", b"text/plain")], b"hello")

        @site.route("/mailbox/{path*}", b"PUT", b"POST")
        async def store(request, responder):
            body = await request.body.read(limit=2**20)
            responder.respondJSON({"octets": len(body)}, status=201)

        server = DemoServer(reactor, site=site)

    What was added last is looked at first, so that a path of :func:`demoSite
    <txhyper.testing.endpoints.demoSite>` may be replaced. HEAD is answered by GET's endpoint unless
    it has one of its own.
    """

    def __init__(self) -> None:
        self._routes: list[tuple[re.Pattern[str], tuple[bytes, ...], Endpoint]] = []

    def add(self, pattern: str, endpoint: Endpoint, *methods: bytes) -> None:
        """Answer these methods (GET if none is named, all of them for ``b"*"``) on this path."""
        self._routes.insert(0, (_compiled(pattern), methods or (b"GET",), endpoint))

    def route(self, pattern: str, *methods: bytes) -> Callable[[Endpoint], Endpoint]:
        """Say :meth:`add` as a decorator."""

        def decorate(endpoint: Endpoint) -> Endpoint:
            self.add(pattern, endpoint, *methods)
            return endpoint

        return decorate

    def find(self, request: ServerRequest) -> Endpoint:
        """
        The endpoint for a request, whose variables are then filled in.

        :raise Refusal: a 404 when no pattern fits the path, a 405 when one does but not the method.
        """
        wanted = {b"*", request.method} | ({b"GET"} if request.method == b"HEAD" else set())
        allowed: set[bytes] = set()
        for pattern, methods, endpoint in self._routes:
            found = pattern.fullmatch(request.path)
            if found is None:
                continue
            if wanted.isdisjoint(methods):
                allowed.update(methods)
                continue
            request.variables = {name: unquote(value) for name, value in found.groupdict().items()}
            return endpoint
        if not allowed:
            raise Refusal(404, f"nothing is at {request.path}")
        if b"GET" in allowed:
            allowed.add(b"HEAD")
        names = b", ".join(sorted(allowed))
        raise Refusal(
            405, f"{request.path} takes {names.decode('ascii')} only", [(b"allow", names)]
        )
