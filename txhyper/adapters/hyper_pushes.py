"""
Server push in hyper's shape.

Owns what :meth:`~txhyper.HTTPConnection.get_pushes` hands out. Which promises are believed, and
what becomes of those that nobody wants, :mod:`txhyper.protocol.push` decides.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from txhyper.adapters.hyper_response import HTTPResponse, map_of, unwrapped
from txhyper.interfaces import IHyperResponse, IPushPromise

__all__ = ["HTTP20Push"]


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
