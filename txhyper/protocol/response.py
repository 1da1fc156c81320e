"""
A response over HTTP/2, and the transport that the reader of its body is given.

Owns what the user holds: status, headers, and the moment at which a body gets its reader. Decides
nothing about the stream; :mod:`txhyper.protocol.exchange` does, and makes these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IClientRequest, IResponse
from zope.interface import implementer

from txhyper.core.streams import UNBOUNDED
from txhyper.interfaces import IHyperResponse

if TYPE_CHECKING:
    from txhyper.core.headers import ResponseHead
    from txhyper.protocol.exchange import Exchange

__all__ = ["BodyTransport", "Response"]


@implementer(IHyperResponse)
class Response:
    """
    A response whose head has come.

    Nothing of its body is lost before :meth:`deliverBody`, and no more than one stream window of
    it is held: the peer has to wait. A response that is thrown away unread gives up its stream.

    :ivar code: the status.
    :ivar length: octets of the body if they are known, else ``UNKNOWN_LENGTH``.
    :ivar streamId: the stream's id on the wire.
    """

    __slots__ = (
        "_exchange",
        "_head",
        "_headers",
        "code",
        "length",
        "previousResponse",
        "request",
        "streamId",
    )

    version = (b"HTTP", 2, 0)

    def __init__(self, exchange: Exchange, head: ResponseHead, remaining: int) -> None:
        self._exchange: Exchange | None = exchange
        self._head = head
        self._headers: Headers | None = None
        self.code = head.status
        self.length: int | str = UNKNOWN_LENGTH if remaining == UNBOUNDED else remaining
        self.request: IClientRequest = exchange.request
        self.previousResponse: IResponse | None = None
        self.streamId: int = exchange.opened().id

    @property
    def phrase(self) -> bytes:
        """HTTP/2 sends no phrase (RFC 9113 section 8.3.2): the usual one for the status."""
        return RESPONSES.get(self.code, b"")

    @property
    def headers(self) -> Headers:
        """The header fields, made when first looked at."""
        if self._headers is None:
            self._headers = Headers()
            for name, value in self._head.fields:
                self._headers.addRawHeader(name, value)
        return self._headers

    def setPreviousResponse(self, response: IResponse) -> None:
        """Remember the response that led to this one."""
        self.previousResponse = response

    def deliverBody(self, protocol: IProtocol) -> None:
        """
        Give the body to a protocol, from its first octet.

        Its ``connectionLost`` is called exactly once: with
        :exc:`~twisted.web.client.ResponseDone` if the body is complete (the peer's END_STREAM
        came, and content-length holds), else with
        :exc:`~twisted.web.client.ResponseFailed`.

        :raises RuntimeError: the body has been given away already.
        """
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            raise RuntimeError("the body of this response has been delivered already")
        exchange.deliver(self, protocol)

    def __del__(self) -> None:
        if self._exchange is not None:
            self._exchange.unread()


@implementer(IPushProducer)
class BodyTransport:
    """
    The transport of a body's reader: one stream, never the connection.

    Pausing withholds the stream's credit. :meth:`stopProducing`, :meth:`loseConnection` and
    :meth:`abortConnection` all reset the stream, if the body is not complete, and the reader's
    ``connectionLost`` follows in a later turn. After the end, each of these does nothing.
    """

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @property
    def disconnecting(self) -> bool:
        """What some protocols look at within ``dataReceived``, to know whether to go on."""
        return not self._exchange.isRead

    def pauseProducing(self) -> None:
        """Deliver nothing until :meth:`resumeProducing`."""
        self._exchange.pause()

    def resumeProducing(self) -> None:
        """Deliver what is held, and whatever comes."""
        self._exchange.resume()

    def stopProducing(self) -> None:
        """Give the body up."""
        self._exchange.giveUp()

    def loseConnection(self) -> None:
        """Give the body up."""
        self._exchange.giveUp()

    def abortConnection(self) -> None:
        """Give the body up."""
        self._exchange.giveUp()
