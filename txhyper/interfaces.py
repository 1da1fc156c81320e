"""
The shapes that the layers of txhyper show to one another and to users.

Owns the contracts and no code. :class:`IHTTPConnection` is what the pool sees, whether HTTP/1.1 or
HTTP/2 is behind it; :class:`IClaim` is what a connection tells about one request;
:class:`IHyperResponse` is what the user gets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from twisted.internet.defer import Deferred
    from twisted.web.http_headers import Headers

    from txhyper.protocol.request import Request
    from txhyper.protocol.states import ConnectionState

__all__ = ["IClaim", "IHTTPConnection", "IHyperResponse", "IPushPromise", "IReplayableBody"]


class IHyperResponse(IResponse):
    """A response, over HTTP/2 or HTTP/1.1."""

    streamId = Attribute("The id of the stream on the wire; None over HTTP/1.1.")
    pushes = Attribute(
        """
        The responses that the server promises beside this one (RFC 9113 section 8.4): an
        asynchronous iterator of :class:`IPushPromise`, which ends when this response has. Those
        that nobody has taken from it are cancelled when the response is garbage.
        """
    )

    def whenTrailers() -> Deferred[Headers]:
        """
        The trailer section, which comes behind the body and is kept apart from the headers
        (RFC 9110 section 6.5).

        :return: a fresh Deferred each time. It fires when the whole response has come, which
            takes a reader for a body that does not fit into the stream's window; without trailers,
            with no fields. It fails with
            :exc:`~twisted.web.client.ResponseFailed` if the body is not complete. Cancelling it
            cancels nothing else.
        """

    def chunks(decodeContent: bool = True) -> AsyncIterator[bytes]:
        """
        The body as it comes: each DATA frame of HTTP/2, empty ones included, or each piece that
        HTTP/1.1 brings; with decoding, each piece that comes of them.

        Nothing is taken from the server that is not asked for here, up to the stream's window.
        An iterator that is thrown away before its end gives the body up.

        :param decodeContent: whether to undo the codings that content-encoding names.
        :return: an iterator that raises what :meth:`read` fails with, once everything before it
            has been taken.
        """

    def read(limit: int | None = None, decodeContent: bool = True) -> Deferred[bytes]:
        """
        The whole body.

        :param limit: octets that it may have, after decoding.
        :param decodeContent: whether to undo the codings that content-encoding names.
        :return: fires when the body is complete, and otherwise fails with
            :exc:`~twisted.web.client.ResponseFailed`, whose ``reasons`` hold
            :exc:`~txhyper.errors.BodyTooLarge` for a body above the limit,
            :exc:`~txhyper.errors.DecodingFailed` for a coding that is corrupt, cut off or not
            known here. Cancelling it gives the body up.
        :raises RuntimeError: the body has been given away already.
        """


class IPushPromise(Interface):
    """
    A response that the server will send without having been asked (RFC 9113 section 8.4).

    One that is thrown away before its response has come is cancelled. No time limit runs.
    """

    request = Attribute("The request that it answers, which was never sent.")
    method = Attribute("That request's method, ``GET`` or ``HEAD``.")
    uri = Attribute("That request's URI.")
    headers = Attribute("That request's fields.")
    streamId = Attribute("The id of the stream on which it comes, an even number.")

    def whenResponse() -> Deferred[IHyperResponse]:
        """
        :return: a fresh Deferred each time, of one and the same response. It fails with
            :exc:`~twisted.web.client.ResponseNeverReceived` if there will be none. Cancelling it
            cancels nothing else.
        """

    def cancel() -> None:
        """
        Give the response up: its stream is reset with CANCEL, and those who wait for it fail with
        :exc:`~twisted.internet.defer.CancelledError` among their reasons. Does nothing once it is
        complete, or somebody reads it.
        """


class IReplayableBody(IBodyProducer):
    """A request's body that can be produced more than once, so that it may be sent again."""

    def rewind() -> None:
        """
        Get ready for another ``startProducing``, from the first octet. The last one has been
        stopped, or has finished.
        """


class IClaim(Interface):
    """
    Whoever put one request on a connection, and is told what becomes of it.

    A connection calls exactly one of :meth:`responded` and :meth:`failed`, once.
    """

    token = Attribute("For the connection: what it needs to find the request again.")

    def responded(response: IHyperResponse) -> None:
        """The final response's head has come; its body may still be on its way."""

    def failed(error: Exception) -> None:
        """
        There will be no response.

        :param error: of :mod:`txhyper.errors`, or
            :exc:`~twisted.internet.defer.CancelledError`; its ``retriable`` tells whether the
            peer did no work.
        """


class IHTTPConnection(Interface):
    """
    One connection, as the pool sees it.

    A slot is reserved before it is given: :meth:`reserve` and :meth:`issue` come in pairs.
    """

    openCount = Attribute("How many slots are in use: open, or reserved.")
    multiplexed = Attribute("Whether it carries many requests at a time, as HTTP/2 does.")
    capacity = Attribute("How many slots there are now. It may shrink below openCount.")
    isSuspect = Attribute("Whether it is in doubt that the peer is still there; news will come.")
    issued = Attribute("How many requests have been put on it since it was made.")

    def isUsable() -> bool:
        """Whether the connection may still take requests, now or when a slot is free."""

    def state() -> ConnectionState:
        """:return: what a person may want to know of it, now."""

    def reserve() -> bool:
        """Take a slot if one is free. :return: whether it was taken."""

    def release() -> None:
        """Give back a slot that was reserved and not used by :meth:`issue`."""

    def issue(request: Request, claim: IClaim, reserved: bool) -> None:
        """
        Send a request, or queue it until a slot is free.

        :param reserved: whether the caller has reserved a slot for it, which it then gives up.
        """

    def cancel(claim: IClaim, error: Exception | None = None) -> None:
        """
        Give a request up: nothing was sent if it waited, else its stream alone is reset. The
        claim's ``failed`` is called if ``responded`` has not been; afterwards this does nothing.

        :param error: what it is told; :exc:`~twisted.internet.defer.CancelledError` if None.
        """

    def request(request: Request) -> Deferred[IHyperResponse]:
        """
        Send a request, for those who hold a connection and no pool. Cancelling the Deferred
        cancels the request.
        """

    def ping() -> Deferred[float]:
        """:return: the round-trip time in seconds; it fails with the connection."""

    def close() -> None:
        """Take no more requests, finish the open ones, say farewell and disconnect."""

    def abort() -> None:
        """Disconnect now. Every open request fails."""

    def whenClosed() -> Deferred[None]:
        """:return: a fresh Deferred that fires once the connection is gone; it never fails."""
