"""
Requests as hyper's users make them: in one call, or piece by piece.

Owns one request from the moment at which it has an id until its response has been taken and its
body has been sent. Sends nothing itself: the agent does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from txhyper.adapters.hyper_body import PushedBody, producer_of, size_of
from txhyper.adapters.hyper_response import HTTPResponse, unwrapped
from txhyper.core.header_map import HTTPHeaderMap
from txhyper.core.headers import FORBIDDEN, check_method, request_fields
from txhyper.errors import InvalidRequest
from txhyper.protocol.request import Request

if TYPE_CHECKING:
    from txhyper.client.agent import Agent

__all__ = ["Outgoing"]


def without_hop_fields(headers: HTTPHeaderMap) -> HTTPHeaderMap:
    """
    The fields without those that speak of the connection, and without those that Connection names
    (RFC 9110 section 7.6.1), so that code for HTTP/1.1 runs over HTTP/2.
    """
    named = {value.lower() for value in headers.get("connection", [])} - {b"te"}
    return HTTPHeaderMap(
        (name, value)
        for name, value in headers.iter_raw()
        if name.lower() not in FORBIDDEN | named
        # What HTTP/2 allows of it (RFC 9113 section 8.2.2).
        and (name.lower() != b"te" or value.lower() == b"trailers")
    )


class Outgoing:
    """
    One request, from its first piece to whoever takes its response.

    :ivar id: as its user knows it.
    :ivar is_taken: whether somebody has asked for its response.
    """

    __slots__ = (
        "_arrived",
        "_body",
        "_done",
        "_headers",
        "_hearers",
        "_is_final",
        "_is_started",
        "_is_told",
        "_method",
        "_name",
        "_outcome",
        "_sent",
        "_uri",
        "_waiter",
        "_why",
        "id",
        "is_taken",
    )

    def __init__(
        self,
        stream_id: int,
        origin: str,
        method: bytes,
        uri: bytes,
        arrived: Callable[[HTTPResponse], object],
        done: Callable[[int], object],
    ) -> None:
        """
        :param origin: for messages.
        :param arrived: told of the response.
        :param done: told when nothing more can be done with it.
        :raises InvalidRequest: the method is no token, or CONNECT.
        """
        if check_method(method) == b"CONNECT":
            raise InvalidRequest("CONNECT makes no request but a tunnel: see TunnelEndpoint")
        self.id = stream_id
        self.is_taken = False
        self._name = f"{origin}: request {stream_id}"
        self._method = method
        self._uri = uri
        self._arrived = arrived
        self._done = done
        self._headers = HTTPHeaderMap()
        self._is_started = False
        # Whether nothing more is to be sent.
        self._is_final = False
        self._body: PushedBody | None = None
        self._is_told = False
        # The agent's, until it has fired; what came of it, until it is taken; who takes it.
        self._sent: Deferred[Any] | None = None
        self._outcome: HTTPResponse | Failure | None = None
        self._waiter: Deferred[HTTPResponse] | None = None
        # Those who wait to hear what comes of it, without taking it.
        self._hearers: list[Deferred[None]] = []
        # Why it was given up.
        self._why: Exception | None = None

    # -- what is sent ----------------------------------------------------------------------------

    def add(self, name: str | bytes, value: str | bytes, replace: bool = False) -> None:
        """
        Add a header field.

        :param replace: whether it takes the place of those with the same name.
        :raises InvalidRequest: it is not valid, or the headers have been sent.
        """
        self._check_open()
        _check(HTTPHeaderMap([(name, value)]))
        if replace:
            self._headers.replace(name, value)
        else:
            self._headers[name] = value

    def _check_open(self) -> None:
        """:raises InvalidRequest: no header field may be added any more."""
        if self._is_started:
            raise InvalidRequest(f"{self._name}: its headers have ended already")
        if self._why is not None:
            raise InvalidRequest(f"{self._name} has been given up")

    def start(self, agent: Agent, body: Any, is_final: bool, most: int) -> Deferred[None]:
        """
        Send the headers, and perhaps a body.

        :param body: all of it, or its first piece; None for none.
        :param is_final: whether nothing follows.
        :param most: octets that may wait while more are given.
        :return: as :meth:`send` does.
        :raises InvalidRequest: nothing was sent.
        """
        self._check_open()
        fields = without_hop_fields(self._headers)
        _check(fields)
        piece = producer_of(body)
        pushed = None if is_final else PushedBody(most)
        request = Request(
            self._method, self._uri, Headers(fields.raw_lists()), piece if is_final else pushed
        )
        request.fields()
        self._is_started = True
        self._is_final = is_final
        self._body = pushed
        taken: Deferred[None] = Deferred()
        if pushed is None or piece is None:
            taken.callback(None)
        else:
            taken = pushed.push(piece, size_of(body))
        sent: Deferred[Any] = agent.send(request)
        self._sent = sent
        sent.addCallbacks(HTTPResponse, unwrapped, callbackArgs=(self._name,))
        sent.addBoth(self._told)
        return taken

    def send(self, data: Any, is_final: bool) -> Deferred[None]:
        """
        Send a piece of the body.

        :return: fires when more may be sent: the piece is on its way and the server, or the
            network, takes more; or nobody wants any of it. It never fails but by being cancelled,
            which takes nothing back.
        :raises InvalidRequest: the headers have not ended, or the body has.
        :raises BoundExceeded: too much waits already. The request is as it was.
        """
        if not self._is_started:
            raise InvalidRequest(f"{self._name}: endheaders comes before send")
        body = self._body
        if self._is_final or body is None:
            raise InvalidRequest(f"{self._name}: its body has ended already")
        piece = producer_of(data)
        if piece is None:
            raise InvalidRequest(f"{self._name}: None is no piece of a body")
        taken = body.push(piece, size_of(data))
        if is_final:
            self._is_final = True
            body.end()
            self._settle()
        return taken

    # -- what comes of it --------------------------------------------------------------------------

    def take(self) -> Deferred[HTTPResponse]:
        """
        Take the response.

        :return: cancelling it gives the request up.
        """
        self.is_taken = True
        waiter: Deferred[HTTPResponse] = Deferred(lambda _: self.give_up(CancelledError()))
        self._waiter = waiter
        self._deliver()
        return waiter

    def when_told(self) -> Deferred[None]:
        """:return: fires once it is known whether there is a response. Nobody takes it by that."""
        heard: Deferred[None] = Deferred(self._hearers.remove)
        self._hearers.append(heard)
        if self._is_told:
            self._tell()
        return heard

    def _tell(self) -> None:
        while self._hearers:
            self._hearers.pop(0).callback(None)

    def give_up(self, error: Exception) -> None:
        """
        Nobody wants it any more. If there is a response, that has to be closed: what is still being
        sent ends with it.

        :param error: what is told to who waits for the response.
        """
        self._why = error
        if self._sent is not None:
            self._sent.cancel()
        elif not self._is_started:
            self._told(Failure(error))

    def _told(self, outcome: HTTPResponse | Failure) -> None:
        """There is a response, or there will be none."""
        self._sent = None
        if isinstance(outcome, Failure):
            if self._why is not None and outcome.check(CancelledError):
                outcome = Failure(self._why)
            if self._body is not None:
                # Perhaps nobody ever began it.
                self._body.stopProducing()
        else:
            self._arrived(outcome)
        self._outcome = outcome
        self._is_told = True
        self._deliver()
        self._tell()

    def _deliver(self) -> None:
        waiter, outcome = self._waiter, self._outcome
        if waiter is not None and outcome is not None:
            self._waiter = self._outcome = None
            self._settle()
            waiter.callback(outcome)

    def _settle(self) -> None:
        """Whoever has taken the response, and sent all of the request, needs this no more."""
        if self.is_taken and self._is_final and self._waiter is None:
            self._done(self.id)


def _check(fields: HTTPHeaderMap) -> None:
    """:raises InvalidRequest: one of them is not valid."""
    request_fields(b"GET", b"", list(fields.raw_lists().items()), None)
