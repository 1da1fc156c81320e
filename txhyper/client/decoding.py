"""
Content codings for Twisted's agents.

Owns the composition: :func:`contentDecoders` makes the pairs of name and wrapper that
:class:`twisted.web.client.ContentDecoderAgent` takes, each wrapper a response whose body is decoded
on its way to the reader. Decodes nothing itself: :mod:`txhyper.core.decoders` does. Who decodes
removes the coding from the headers, which is the agent's part, so nothing is decoded twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IProtocol
from twisted.python.components import proxyForInterface
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse

from txhyper.core.bounds import Bounds
from txhyper.core.decoders import Coding, Decoding, codings
from txhyper.errors import BoundExceeded
from txhyper.interfaces import IHyperResponse
from txhyper.protocol.body import ReadableBody
from txhyper.protocol.decoding import DecodingReader

__all__ = ["DecodedResponse", "contentDecoders"]


def contentDecoders(bounds: Bounds | None = None) -> list[tuple[bytes, Callable[..., Any]]]:
    """
    The decoders for Twisted's ContentDecoderAgent, best first::

        agent = ContentDecoderAgent(Agent(reactor), contentDecoders())

    gzip and deflate are always there, br and zstd where a package for them is installed (the
    extras ``brotli`` and ``zstd``) or the standard library has them.

    :param bounds: limits a decoded body's size and ratio. A body that passes one of them, or
        whose coding is corrupt or cut off, ends with a
        :exc:`~twisted.web.client.ResponseFailed` whose reason is a
        :exc:`~txhyper.errors.BodyError`; the stream is reset.
    """
    limits = bounds or Bounds()

    def wrapperOf(make: Callable[[], Coding]) -> Callable[[IResponse], DecodedResponse]:
        return lambda response: DecodedResponse(response, make, limits)

    return [(name, wrapperOf(make)) for name, make in codings().items()]


class DecodedResponse(
    ReadableBody,
    proxyForInterface(IHyperResponse),  # type: ignore[misc]  # made at run time
):
    """
    A response whose body is decoded; everything else is the response's own. What
    :class:`~txhyper.interfaces.IHyperResponse` adds is here if the response has it.
    """

    def __init__(self, response: IResponse, make: Callable[[], Coding], bounds: Bounds) -> None:
        """:raises BoundExceeded: the body has too many codings."""
        super().__init__(response)
        self._chain = [make]
        self._source = response
        self._bounds = bounds
        # A coding in a coding: both are undone together, so that the bounds see the whole.
        if isinstance(response, DecodedResponse) and response._bounds == bounds:
            self._chain = [*response._chain, make]
            self._source = response._source
        if len(self._chain) > bounds.content_codings:
            raise BoundExceeded(
                f"the body has more than {bounds.content_codings} codings, one in the other "
                "(bound content_codings)",
                "content_codings",
            )
        # Nobody knows it before the end.
        self.length = UNKNOWN_LENGTH

    def deliverBody(self, protocol: IProtocol) -> None:
        """Decode the body on its way to the reader."""
        self._deliver(protocol, False)

    def _deliver(self, reader: IProtocol, isFramed: bool) -> None:
        decoding = Decoding([make() for make in self._chain], self._bounds)
        self._source.deliverBody(DecodingReader(reader, decoding, self._source))
