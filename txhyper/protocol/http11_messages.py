"""
What goes over one HTTP/1.1 connection, in the shape that HTTP/2 gives it.

Owns the response as users hold it, and the body on its way to Twisted's HTTP/1.1 client, which
expects more of a producer than a producer may know. Knows no private name of Twisted's:
:mod:`txhyper.protocol.http11` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from OpenSSL.SSL import Error as TLSError
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IProtocol, IReactorTime
from twisted.python.components import proxyForInterface
from twisted.python.failure import Failure
from twisted.web.client import RequestGenerationFailed, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer, IResponse
from zope.interface import implementer

from txhyper.core.bounds import Bounds
from txhyper.core.headers import Field, MalformedHead, parse_trailers
from txhyper.errors import ConnectionTerminated, HyperError, InvalidRequest, ProtocolViolation
from txhyper.interfaces import IHyperResponse
from txhyper.protocol.bodies import BytesBody
from txhyper.protocol.body import ReadableBody
from txhyper.protocol.ending import Ending
from txhyper.protocol.expectation import producerOf
from txhyper.protocol.failures import explain
from txhyper.protocol.http11_body import BodyTransport
from txhyper.protocol.pushes import NO_PUSHES
from txhyper.protocol.request import Request
from txhyper.protocol.upload import Upload

__all__ = [
    "HTTP11Response",
    "WrittenBody",
    "absoluteForm",
    "addTo",
    "headersOf",
    "isLast",
    "removeFrom",
    "settle",
    "translated",
    "watchRest",
]


@implementer(IHyperResponse)
class HTTP11Response(
    ReadableBody,
    proxyForInterface(IResponse),  # type: ignore[misc]  # made at run time
):
    """
    A response over HTTP/1.1.

    One that is thrown away unread costs its connection, unless it is complete.
    """

    streamId = None
    pushes = NO_PUSHES

    def __init__(
        self,
        original: IResponse,
        bounds: Bounds,
        ending: Ending,
        transport: BodyTransport,
        unread: Callable[[], None],
    ) -> None:
        """
        :param original: Twisted's response.
        :param ending: told how the body ends.
        :param transport: the reader's.
        :param unread: called, in whatever thread, when the response has become garbage unread.
        """
        super().__init__(original)
        self._bounds = bounds
        self._ending = ending
        self._transport = transport
        self._unread: Callable[[], None] | None = unread

    def deliverBody(self, protocol: IProtocol) -> None:
        """As :meth:`twisted.web.iweb.IResponse.deliverBody`."""
        self._deliver(protocol, False)

    def _deliver(self, reader: IProtocol, isFramed: bool) -> None:
        self._unread = None
        self._transport.deliver(self.original, reader)

    def whenTrailers(self) -> Deferred[Headers]:
        """As :meth:`txhyper.interfaces.IHyperResponse.whenTrailers`."""
        return self._ending.whenTrailers()

    def __del__(self) -> None:
        if self._unread is not None and not self._ending.isOver:
            self._unread()


@implementer(IBodyProducer)
class WrittenBody:
    """
    A request's body as Twisted asks for it: the producer of an upload, and what the upload asks.

    What it writes is never empty, since an empty chunk is the end of a chunked body.
    """

    @classmethod
    def of(
        cls,
        request: Request,
        fields: Sequence[Field],
        reactor: IReactorTime,
        bounds: Bounds,
        origin: str,
    ) -> WrittenBody | None:
        """
        A request's body, which begins when Twisted starts it; None where there is nothing to send.

        :param fields: the request's.
        :param origin: for messages.
        """
        body, length = producerOf(request, fields, reactor, bounds.continue_timeout)
        if body is None:
            if not request.hasTrailers:
                return None
            body = BytesBody(b"")
        return cls(origin, request, body, length, reactor)

    def __init__(
        self,
        name: str,
        request: Request,
        body: IBodyProducer,
        length: int | None,
        reactor: IReactorTime,
    ) -> None:
        self.name = name
        # Trailers take a chunked body.
        self.length = UNKNOWN_LENGTH if request.hasTrailers or length is None else length
        self._request = request
        self._reactor = reactor
        self._upload = Upload(self, body, length)
        self._consumer: Any = None
        self._written: Deferred[None] = Deferred(lambda _: self.stopProducing())

    # -- what Twisted asks for -------------------------------------------------------------------

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Start the body. :return: fires when all of it was written, fails when it does."""
        self._consumer = consumer
        self._upload.start()
        return self._written

    def pauseProducing(self) -> None:
        """The transport has enough."""
        self._upload.pause()

    def resumeProducing(self) -> None:
        """The transport takes more."""
        self._upload.resume()

    def stopProducing(self) -> None:
        """Nobody wants the rest."""
        self.stop()

    def stop(self) -> bool:
        """Likewise. :return: whether there was a rest."""
        return self._upload.stop()

    # -- what the upload asks for ----------------------------------------------------------------

    def write(self, data: bytes) -> bool:
        """Octets of the body. :return: False: it is the transport that asks for a pause."""
        if data:
            self._consumer.write(data)
        return False

    def uploadFinished(self) -> None:
        """Everything has been written."""
        request, encoder, result = self._request, self._consumer, None
        try:
            if request.hasTrailers:
                encoder.transport = LastChunk(encoder.transport, request.trailerFields())
        except Exception:  # noqa: BLE001 - the trailers are made by a user's code
            result = Failure()
        # That code may have cancelled the request.
        if not self._written.called:
            self._written.callback(result)

    def uploadFailed(self, error: Exception) -> None:
        """The producer failed, or wrote more or less than it had announced."""
        # Twisted says itself that it was the body's producer that failed.
        (reason,) = error.reasons if isinstance(error, RequestGenerationFailed) else [error]
        self._written.errback(reason)

    def later(self, call: Callable[..., object]) -> None:
        """Call in the next turn of the reactor."""
        self._reactor.callLater(0, call)

    def proceed(self) -> None:
        """The server wants the body, if it was told to expect it."""
        self._upload.proceed()


class LastChunk:
    """Where Twisted writes the last chunk of a body: the trailers go with it."""

    def __init__(self, transport: Any, fields: Sequence[Field]) -> None:
        self._wrapped = transport
        self._fields = fields

    def writeSequence(self, last: Sequence[bytes]) -> None:
        """Write the size of the last chunk, which is 0, the trailers, and an empty line."""
        lines = [b"%b: %b\r\n" % field for field in self._fields]
        self._wrapped.writeSequence([last[0], *lines, b"\r\n"])

    def unregisterProducer(self) -> None:
        """Pass it on."""
        self._wrapped.unregisterProducer()


def isLast(version: tuple[bytes, int, int], connection: Iterable[bytes]) -> bool:
    """
    Whether a response is the last one on its connection (RFC 9112 section 9.3).

    :param version: the response's.
    :param connection: its Connection fields.
    """
    options = {option.strip().lower() for line in connection for option in line.split(b",")}
    return b"close" in options or (version[1:] < (1, 1) and b"keep-alive" not in options)


def settle(ending: Ending, lines: Iterable[bytes], origin: str) -> None:
    """
    A body is complete: tell those who wait for its trailers.

    :param lines: the trailer section.
    """
    try:
        ending.trailed(parse_trailers([_field(bytes(line)) for line in lines]))
    except MalformedHead as error:
        ending.over(ProtocolViolation(f"{origin}: trailers: {error}"))
    else:
        ending.over(None)


def _field(line: bytes) -> Field:
    """A trailer line as HTTP/2 would have it."""
    name, _, value = line.partition(b":")
    return name.lower(), value.strip(b" \t")


def translated(error: BaseException | None, origin: str) -> Exception:
    """The error of ours that says the same as one of Twisted's, if there is one."""
    reasons = [reason.value for reason in getattr(error, "reasons", [])]
    for inner in [error, *reasons]:
        if isinstance(inner, HyperError):
            return inner
        if isinstance(inner, (ConnectionDone, ConnectionLost, ConnectionAborted, TLSError)):
            return ConnectionTerminated(
                f"{origin}: the connection ended before the response: {explain(inner)}"
            )
    if isinstance(error, ResponseFailed):
        how = "; ".join(map(repr, reasons))
        return ProtocolViolation(f"{origin}: the response is not HTTP/1.1: {how}")
    return cast(Exception, error)


def watchRest(parser: Any, found: Callable[[], object]) -> None:
    """
    Look for octets behind a response that is complete: nobody has asked for what they say.

    :param parser: Twisted's, which would throw them away.
    :param found: called before the response ends, if there are some.
    """
    finish = parser.finisher

    def finished(rest: bytes) -> None:
        if rest:
            found()
        finish(rest)

    parser.finisher = finished


def headersOf(authority: bytes, fields: Sequence[Field]) -> Headers:
    """
    A request's fields as Twisted writes them.

    :raises InvalidRequest: one of them is not the caller's to give.
    """
    headers = Headers()
    headers.addRawHeader(b"host", authority)
    # HTTP/2 may have them apart (RFC 9113 section 8.2.3).
    cookie = b"; ".join([value for name, value in fields if name == b"cookie"])
    if cookie:
        headers.addRawHeader(b"cookie", cookie)
    for name, value in fields:
        if name == b"transfer-encoding":
            # Twisted would write a second one beside it.
            raise InvalidRequest(
                "transfer-encoding follows from whether the body has a length: do not give it "
                "(RFC 9112 section 6.1)"
            )
        # Twisted writes the length of the body itself.
        if name not in (b"content-length", b"cookie"):
            headers.addRawHeader(name, value)
    return headers


def absoluteForm(request: Request, host: bytes) -> bytes:
    """
    A request's target as a proxy wants it (RFC 9112 sections 3.2.2 and 3.2.4).

    :param host: what Host is to say.
    :raises InvalidRequest: it is not the target's authority. A proxy goes by the target, and
        whoever looks at Host would be told something else.
    """
    if host != request.authority:
        raise InvalidRequest(
            f"the Host {host!r} beside a URI of {request.authority!r}, by way of a proxy that "
            "forwards (RFC 9112 section 3.2.2)"
        )
    path = b"" if request.path == b"*" else request.path
    return b"%b://%b%b" % (request.scheme, request.authority, path)


def addTo(headers: Headers, fields: Sequence[Field]) -> None:
    """Add fields, but for those that the user has given for this one request."""
    given = {name.lower() for name, _ in headers.getAllRawHeaders()}
    for name, value in fields:
        if name.lower() not in given:
            headers.addRawHeader(name, value)


def removeFrom(headers: Headers, fields: Sequence[Field], request: Request) -> None:
    """Once they are written, none of them is left for those who look at a response's request."""
    for name, _ in fields:
        if not request.headers.hasHeader(name):
            headers.removeHeader(name)
