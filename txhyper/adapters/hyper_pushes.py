"""
Server push in hyper's shape.

Owns what :meth:`~txhyper.HTTPConnection.get_pushes` hands out. Which promises are believed, and
what becomes of those that nobody wants, :mod:`txhyper.protocol.push` decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from txhyper.adapters.hyper_response import HTTPResponse, map_of, unwrapped
from txhyper.interfaces import IHyperResponse, IPushPromise

if TYPE_CHECKING:
    from txhyper.adapters.hyper_requests import Outgoing

__all__ = ["HTTP20Push", "HTTP20Pushes"]


class HTTP20Pushes:
    """
    What :meth:`~txhyper.HTTPConnection.get_pushes` hands out.

    No generator: one that was cancelled says from then on that it has ended.
    """

    def __init__(
        self,
        outgoing: Outgoing | None,
        answer: Callable[[], HTTPResponse | None],
        waits: bool,
        origin: str,
        arrived: Callable[[HTTPResponse], object],
    ) -> None:
        """
        :param outgoing: the request, if something may still be done with it.
        :param answer: its response, if there is one that somebody still has.
        :param waits: whether to wait for the response, and for more until that has ended.
        :param origin: for messages.
        :param arrived: told of each response that was promised.
        """
        self._outgoing = outgoing
        self._answer = answer
        self._waits = waits
        self._origin = origin
        self._arrived = arrived
        # Held from here on, as its promises go with it.
        self._response: HTTPResponse | None = None

    def __aiter__(self) -> HTTP20Pushes:
        return self

    async def __anext__(self) -> HTTP20Push:
        if self._outgoing is not None and self._waits:
            await self._outgoing.when_told()
        self._outgoing = None
        if self._response is None:
            self._response = self._answer()
        if self._response is not None:
            promise = await self._response.promise(self._waits)
            if promise is not None:
                return HTTP20Push(promise, self._origin, self._arrived)
        raise StopAsyncIteration


class HTTP20Push:
    """
    A response that the server will send without having been asked.

    One that is thrown away before its response has come is cancelled.

    :ivar method: of the request that it answers, which was never sent.
    :ivar scheme: of the same; likewise ``authority`` and ``path``.
    :ivar request_headers: the rest of its fields, an :class:`~txhyper.HTTPHeaderMap`.
    :ivar streamId: the stream on which it comes.
    """

    def __init__(
        self, promise: IPushPromise, origin: str, arrived: Callable[[HTTPResponse], object]
    ) -> None:
        """
        :param origin: for messages.
        :param arrived: told of the response.
        """
        request = promise.request
        self.method: bytes = request.method
        self.scheme: bytes = request.scheme
        self.authority: bytes = request.authority
        self.path: bytes = request.path
        self.request_headers = map_of(promise.headers)
        self.streamId: int = promise.streamId
        self._promise = promise
        self._name = f"{origin}: push {self.streamId}"
        self._arrived = arrived

    def get_response(self) -> Deferred[HTTPResponse]:
        """
        The promised response.

        :return: a fresh Deferred each time; only one may read the body. It fails with an error of
            :mod:`txhyper.errors` if there will be no response. Cancelling it cancels nothing else.
        """
        return self._promise.whenResponse().addCallbacks(self._made, unwrapped)

    def _made(self, response: IHyperResponse) -> HTTPResponse:
        made = HTTPResponse(response, self._name)
        self._arrived(made)
        return made

    def cancel(self) -> None:
        """Give it up: its stream is reset, unless somebody reads it or it is complete."""
        self._promise.cancel()
