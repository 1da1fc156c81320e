"""
Requests and responses of one of hyper's connections, by their ids.

Owns the ids, and which responses have not been taken. Connects and closes nothing:
:class:`txhyper.HTTPConnection`, which builds on this, does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from weakref import WeakSet, WeakValueDictionary

from twisted.internet.defer import Deferred

from txhyper.adapters.hyper_place import base_of, octets_of
from txhyper.adapters.hyper_pushes import HTTP20Push, HTTP20Pushes
from txhyper.adapters.hyper_requests import Outgoing
from txhyper.adapters.hyper_response import HTTPResponse
from txhyper.client.agent import Agent
from txhyper.core.bounds import Bounds
from txhyper.core.header_map import HTTPHeaderMap
from txhyper.errors import InvalidRequest
from txhyper.protocol.request import splitURI

__all__ = ["Conversation"]


class Conversation:
    """
    What is asked and answered. Whoever inherits it has an agent, its origin as a URI, and limits.
    """

    _agent: Agent
    _base: bytes
    _bounds: Bounds

    def _begin(self) -> None:
        """No request has been made."""
        self._next_id = 1
        # Those that something may still be done with; the last one that was put together by hand.
        self._requests: dict[int, Outgoing] = {}
        self._latest: int | None = None
        # Those that somebody still has.
        self._responses: WeakSet[HTTPResponse] = WeakSet()
        self._answers: WeakValueDictionary[int, HTTPResponse] = WeakValueDictionary()

    # -- requests in one go ------------------------------------------------------------------------

    def request(
        self,
        method: str | bytes,
        url: str | bytes,
        body: Any = None,
        headers: Any = None,
        *,
        data: Any = None,
    ) -> int:
        """
        Send a request. It is on its way when this returns.

        :param method: any token.
        :param url: the path and query, or a URI of this origin; ``*`` for OPTIONS.
        :param body: text, which becomes UTF-8; bytes; a file-like object, of which is sent what
            follows its position, and which is not closed; an iterable or asynchronous iterable of
            bytes; an :class:`~twisted.web.iweb.IBodyProducer`. content-length is sent where the
            length is known.
        :param headers: a mapping, pairs, or an :class:`~txhyper.HTTPHeaderMap`. Fields that speak
            of the connection, such as Connection and Keep-Alive, are left out.
        :param data: another name for the body.
        :return: the request's id here: 1, 3, 5 and so on, whatever becomes of it on the wire. Over
            HTTP/1.1 as well, where it is no stream's.
        :raises InvalidRequest: something of it is not valid; nothing was sent.
        :raises TypeError: there are a body and data, or a header is neither bytes nor text.
        """
        if body is not None and data is not None:
            raise TypeError("request() takes a body or data, which is the same, and got both")
        outgoing = self._outgoing(method, url)
        for name, value in HTTPHeaderMap(headers or {}).iter_raw():
            outgoing.add(name, value)
        outgoing.start(self._agent, data if body is None else body, True, 0)
        return self._add(outgoing)

    def get_response(self, stream_id: int | None = None) -> Deferred[HTTPResponse]:
        """
        Take the response to a request.

        :param stream_id: what :meth:`request` has returned; the oldest request whose response
            nobody has taken yet, if None.
        :return: fires when the headers have come. It fails with an error of :mod:`txhyper.errors`,
            or with Twisted's own if the server cannot be connected to. Cancelling it gives the
            request up, and no other.
        :raises InvalidRequest: there is no such request, or its response has been taken.
        """
        if stream_id is None:
            stream_id = next((n for n, each in self._requests.items() if not each.is_taken), None)
            if stream_id is None:
                raise InvalidRequest(f"{self._name}: every response has been taken already")
        outgoing = self._requests.get(stream_id)
        if outgoing is None or outgoing.is_taken:
            raise self._unknown(stream_id, "its response has been taken already")
        return outgoing.take()

    #: As :mod:`http.client` calls it.
    getresponse = get_response

    def get_pushes(
        self, stream_id: int | None = None, capture_all: bool = False
    ) -> AsyncIterator[HTTP20Push]:
        """
        What the server has promised beside a response (RFC 9113 section 8.4), each promise once.

        Nothing is promised unless the connection was made with ``enable_push``. Promises that are
        taken by nobody are cancelled with the response, when that is thrown away.

        :param stream_id: the request's id; that of the last request if None.
        :param capture_all: whether to wait for more, until the response has ended: for which
            somebody has to read it, if it does not fit into the stream's window.
        :return: an asynchronous iterator. Without ``capture_all`` it waits for nothing. It may be
            left and taken up again.
        :raises InvalidRequest: there is no such request.
        """
        if stream_id is None:
            stream_id = self._next_id - 2
            if stream_id < 0:
                raise InvalidRequest(f"{self._name}: nothing has been requested yet")
        if not self._is_past(stream_id):
            raise self._unknown(stream_id, "")
        return HTTP20Pushes(
            self._requests.get(stream_id),
            partial(self._answers.get, stream_id),
            capture_all,
            self._name,
            self._responses.add,
        )

    # -- requests piece by piece -------------------------------------------------------------------

    def putrequest(self, method: str | bytes, selector: str | bytes) -> int:
        """
        Begin a request that is put together by hand. Nothing is sent yet.

        :param selector: as ``url`` of :meth:`request`.
        :return: its id, as :meth:`request` does.
        :raises InvalidRequest: the method or the selector is not valid.
        """
        self._latest = self._add(self._outgoing(method, selector))
        return self._latest

    def putheader(
        self,
        header: str | bytes,
        argument: str | bytes,
        stream_id: int | None = None,
        replace: bool = False,
    ) -> None:
        """
        Add a header field to a request. Those that speak of the connection are left out later.

        :param stream_id: the request's id; that of the last :meth:`putrequest` if None.
        :param replace: whether it takes the place of those with the same name.
        :raises InvalidRequest: the field is not valid, or the headers have ended already, or there
            is no such request.
        """
        self._put(stream_id).add(header, argument, replace)

    def endheaders(
        self, message_body: Any = None, final: bool = False, stream_id: int | None = None
    ) -> Deferred[None]:
        """
        Send the headers. The request is on its way when this returns.

        :param message_body: the body, or its first piece, as for :meth:`request`.
        :param final: whether nothing follows; else :meth:`send` has to say so, or the server waits
            for more.
        :param stream_id: as for :meth:`putheader`.
        :return: as :meth:`send` does.
        :raises InvalidRequest: something is not valid; nothing was sent.
        """
        outgoing = self._put(stream_id)
        return outgoing.start(self._agent, message_body, final, self._bounds.unsent_octets)

    def send(self, data: Any, final: bool = False, stream_id: int | None = None) -> Deferred[None]:
        """
        Send a piece of a body. It is taken in at once, and may be forgotten.

        :param data: as the body of :meth:`request`; an empty piece is none.
        :param final: whether this is the last piece.
        :param stream_id: as for :meth:`putheader`.
        :return: fires when more may be sent: the connection has taken this piece, and wants the
            next one. It fires as well when nobody wants the rest, because the request has failed or
            the server has answered without it: the response tells. Cancelling it takes nothing
            back. Who does not wait for it is stopped by the bound
            :attr:`~txhyper.Bounds.unsent_octets`.
        :raises InvalidRequest: the headers have not ended yet, or the body has; or there is no such
            request.
        :raises BoundExceeded: too much waits already.
        """
        return self._put(stream_id).send(data, final)

    # -- which request -----------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return self._base.decode("ascii")

    def _outgoing(self, method: str | bytes, url: str | bytes) -> Outgoing:
        uri = self._uri(octets_of(method), octets_of(url))
        responses, answers, requests = self._responses, self._answers, self._requests
        stream_id = self._next_id

        def arrived(response: HTTPResponse) -> None:
            responses.add(response)
            answers[stream_id] = response

        return Outgoing(
            stream_id,
            self._name,
            octets_of(method),
            uri,
            arrived,
            lambda stream_id: requests.pop(stream_id, None),
        )

    def _add(self, outgoing: Outgoing) -> int:
        """A request is made, and has its id."""
        self._next_id += 2
        self._requests[outgoing.id] = outgoing
        return outgoing.id

    def _uri(self, method: bytes, url: bytes) -> bytes:
        """:raises InvalidRequest: it is of another origin, or none."""
        if url == b"*":
            if method != b"OPTIONS":
                raise InvalidRequest(f"{self._name}: '*' is for OPTIONS (RFC 9110 section 9.3.7)")
            return self._base
        if not url or url.startswith(b"/"):
            return self._base + (url or b"/")
        scheme, host, port, path = splitURI(url)
        if base_of(scheme, host, port) != self._base:
            raise InvalidRequest(f"the URI {url!r} is of another origin than {self._name}")
        return self._base + (path if path.startswith(b"/") else b"/" + path)

    def _put(self, stream_id: int | None) -> Outgoing:
        """:raises InvalidRequest: there is no such request to be put together."""
        if stream_id is None:
            stream_id = self._latest
            if stream_id is None:
                raise InvalidRequest(f"{self._name}: putrequest comes first")
        outgoing = self._requests.get(stream_id)
        if outgoing is None:
            raise self._unknown(stream_id, "it has been sent and answered already")
        return outgoing

    def _is_past(self, stream_id: int) -> bool:
        """Whether there is, or was, such a request."""
        is_id = isinstance(stream_id, int)
        return is_id and stream_id % 2 == 1 and 0 < stream_id < self._next_id

    def _unknown(self, stream_id: int, past: str) -> InvalidRequest:
        """:param past: what is the matter with one that there was."""
        what = past if self._is_past(stream_id) else "there is no such request"
        return InvalidRequest(f"{self._name}: request {stream_id!r}: {what}")
