"""
What travels from the agent to the exchange.

Owns one request's parts, checked: the method, the target in the pieces that HTTP/2 sends apart,
the fields in lower case, the body's producer. Sends nothing, and may be sent more than once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from twisted.logger import Logger
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer, IClientRequest
from zope.interface import implementer

from txhyper.core.headers import (
    Field,
    check_method,
    check_target,
    request_fields,
    trailer_fields,
)
from txhyper.errors import InvalidRequest, TimedOut
from txhyper.interfaces import IPushPromise, IReplayableBody
from txhyper.protocol.bodies import asProducer
from txhyper.protocol.timeouts import RequestLimits, Timeouts, Timer

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DEFAULT_PORTS", "Request", "asHeaders", "authorityOf", "splitURI"]

DEFAULT_PORTS = {b"http": 80, b"https": 443}

#: Scheme, authority, path with query; a fragment is never sent (RFC 9110 section 4.1).
_uri = re.compile(rb"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#]*)([^#]*)").match
#: Host, in brackets if it is an IPv6 address, and port.
_authority = re.compile(
    rb"(\[[0-9A-Fa-f:.]+(?:%25[^\]]+)?\]|[^:@\[\]]+)(?::([0-9]{0,5}))?"
).fullmatch

#: Methods whose meaning anticipates content.
ANTICIPATE_CONTENT = frozenset([b"POST", b"PUT", b"PATCH"])


def splitURI(uri: bytes) -> tuple[bytes, bytes, int | None, bytes]:
    """
    Scheme in lower case, host, port or None, and path with query (empty if there is neither).

    :raises InvalidRequest: the URI is not absolute, has no host, an impossible port or
        credentials, or holds anything but printable ASCII.
    """
    parts = _uri(check_target(uri))
    if parts is None:
        raise InvalidRequest(f"the URI {uri!r} is not absolute")
    scheme, authority, path = parts.groups()
    if b"@" in authority:
        raise InvalidRequest("credentials in a URI are not sent: use an Authorization header")
    split = _authority(authority)
    if split is None:
        raise InvalidRequest(f"the URI {uri!r} has no valid host")
    host, digits = split.groups()
    port = int(digits) if digits else None
    if port is not None and not 0 < port < 65536:
        raise InvalidRequest(f"the URI {uri!r} has no valid port")
    # The zone of an IPv6 address is the name of an interface, as this machine spells it.
    host, mark, zone = host.partition(b"%25")
    return scheme.lower(), host.lower() + mark + zone, port, path


def authorityOf(scheme: bytes, host: bytes, port: int | None) -> bytes:
    """
    What a server is told of where a request was sent, from the parts of :func:`splitURI`.

    The port is left out where it is the scheme's own, and a zone always: it says which way to dial,
    and is nobody else's business (RFC 6874 section 4).
    """
    if b"%25" in host:
        host = host.partition(b"%25")[0] + b"]"
    return host if port in (None, DEFAULT_PORTS.get(scheme)) else b"%b:%d" % (host, port)


@implementer(IClientRequest)
class Request:
    """
    One HTTP request.

    :ivar method: the method, any token.
    :ivar absoluteURI: the URI as it was given.
    :ivar scheme: ``b"https"`` or ``b"http"``.
    :ivar authority: host, and port unless it is the scheme's own.
    :ivar path: path and query, what HTTP/2 sends as ``:path``.
    :ivar body: an :class:`~twisted.web.iweb.IBodyProducer`, or None.
    :ivar bodyStarted: whether the producer has been started.
    """

    __slots__ = (
        "_fields",
        "_headers",
        "_onInformational",
        "_onPush",
        "_trailers",
        "absoluteURI",
        "authority",
        "body",
        "bodyStarted",
        "isInFlight",
        "limits",
        "method",
        "path",
        "scheme",
        "timeouts",
    )

    _log = Logger()

    def __init__(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        body: Any = None,
        *,
        trailers: Headers | Callable[[], Headers] | None = None,
        timeouts: Timeouts | None = None,
        onInformational: Callable[[int, Headers], object] | None = None,
        onPush: Callable[[IPushPromise], object] | None = None,
    ) -> None:
        """
        :param uri: an absolute URI.
        :param headers: with ``Expect: 100-continue`` the body is held back until the server asks
            for it, or has not for
            :attr:`~txhyper.core.bounds.Bounds.continue_timeout` seconds.
        :param body: None, bytes, a file-like object in binary mode (what follows its position is
            sent, and it is not closed), an iterable or asynchronous iterable of bytes, or an
            :class:`~twisted.web.iweb.IBodyProducer`. A request whose body was begun is sent again
            only if the body can be produced again: bytes, a file that can seek, an
            :class:`~txhyper.interfaces.IReplayableBody`.
        :param trailers: the trailer section that follows the body, or what makes it once the last
            octet of the body has been produced, such as a digest.
        :param timeouts: the time limits; those of the agent if None.
        :param onInformational: called with the status and the headers of each informational
            response (1xx), such as 103 Early Hints (RFC 8297). What it raises is logged.
        :param onPush: called with each :class:`~txhyper.PushPromise` that comes with the response,
            before or after its head; ``response.pushes`` then has none. One that it does not keep
            is cancelled. What it raises is logged. Nothing is promised where the pool does not ask
            for it (``enablePush``).
        :raises InvalidRequest: the method, the URI, the body or a trailer field is not valid.
        """
        scheme, host, port, path = splitURI(uri)
        authority = authorityOf(scheme, host, port)
        self._fill(check_method(method), uri, headers, asProducer(body), scheme, authority, path)
        self._trailers: Sequence[Field] | Callable[[], Headers] | None
        if isinstance(trailers, Headers):
            self._trailers = trailer_fields(trailers.getAllRawHeaders())
        elif trailers is None or callable(trailers):
            self._trailers = trailers
        else:
            raise InvalidRequest(f"trailers are Headers, or what makes them, not {trailers!r}")
        self._onInformational = onInformational
        self._onPush: Callable[[IPushPromise], object] | None = onPush
        self.timeouts: Timeouts | None = timeouts

    @classmethod
    def toTarget(
        cls,
        method: bytes,
        uri: bytes,
        headers: Headers | None,
        body: IBodyProducer | None,
        scheme: bytes,
        authority: bytes,
        path: bytes,
    ) -> Request:
        """A request whose URI has been taken apart already."""
        self = cls.__new__(cls)
        self._fill(check_method(method), uri, headers, body, scheme, authority, path)
        return self

    def _fill(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None,
        body: IBodyProducer | None,
        scheme: bytes,
        authority: bytes,
        path: bytes,
    ) -> None:
        self.method = method
        self.absoluteURI = uri
        self._headers = headers
        self.body = body
        self.scheme = scheme
        self.authority = authority
        if path[:1] != b"/" and path != b"*":
            # An OPTIONS request without a path asks about the server (RFC 9110 section 9.3.7).
            path = b"*" if method == b"OPTIONS" and not path else b"/" + path
        self.path = path
        self.bodyStarted = False
        #: Whether it has been sent, and not been answered yet.
        self.isInFlight = False
        self._trailers = None
        self._onInformational = None
        self._onPush = None
        self.timeouts = None
        #: Made by whoever sends it, if it has time limits.
        self.limits: RequestLimits | None = None
        self._fields: tuple[bytes, Sequence[Field]] | None = None

    @property
    def headers(self) -> Headers:
        """The headers as they were given."""
        if self._headers is None:
            self._headers = Headers()
        return self._headers

    def fields(self) -> tuple[bytes, Sequence[Field]]:
        """
        The authority, and the regular fields as they are sent.

        :raises InvalidRequest: a field is not valid, content-length is not the body's, or the
            body's length is no length.
        """
        if self._fields is None:
            length: int | None = None
            if self.body is not None:
                length = _length(self.body)
            elif self.method in ANTICIPATE_CONTENT:
                # Say that there is none (RFC 9110 section 8.6).
                length = 0
            if self._headers is None and length is None:
                self._fields = self.authority, ()
            else:
                given = () if self._headers is None else self._headers.getAllRawHeaders()
                authority, fields = request_fields(self.method, self.authority, given, length)
                if self.body is None and length is None:
                    _announcesNothing(self.method, fields)
                if self.body is None or length == 0:
                    # There is nothing to hold back (RFC 9110 section 10.1.1).
                    fields = [field for field in fields if field[0] != b"expect"]
                self._fields = authority, fields
        return self._fields

    def withdrawExpectation(self) -> bool:
        """
        Send the body without waiting for the server, from now on.

        :return: whether there was an expectation.
        """
        authority, fields = self.fields()
        kept = [field for field in fields if field[0] != b"expect"]
        self._fields = authority, kept
        return len(kept) < len(fields)

    @property
    def hasTrailers(self) -> bool:
        """Whether a trailer section follows the body."""
        return self._trailers is not None

    def trailerFields(self) -> Sequence[Field]:
        """
        The trailer section, once the body has been produced.

        :raises InvalidRequest: what the user has made is not valid. Whatever else the user's code
            raises passes through.
        """
        trailers = self._trailers
        if callable(trailers):
            return trailer_fields(trailers().getAllRawHeaders())
        return trailers or ()

    @property
    def canBeSent(self) -> bool:
        """Whether the body may be produced: for the first time, or again."""
        return not self.bodyStarted or IReplayableBody.providedBy(self.body)

    def rewind(self) -> None:
        """
        Get ready to be sent again. Whoever produced the body has been stopped.

        :raises Exception: whatever the body raises.
        """
        if self.bodyStarted:
            cast(IReplayableBody, self.body).rewind()
            self.bodyStarted = False

    def begin(
        self,
        timer: Timer,
        name: str,
        onLate: Callable[[TimedOut], None],
        timeouts: Timeouts | None = None,
    ) -> None:
        """
        The request is sent; its time begins, if it is limited.

        :param name: the origin's, for messages.
        :param onLate: called with the error when the time is up.
        :param timeouts: the limits, where the request has none of its own.
        :raises InvalidRequest: it has been sent already, and not been answered yet.
        """
        if self.isInFlight:
            raise InvalidRequest(
                f"the request for {self.absoluteURI!r} is on its way already: make another one"
            )
        self.isInFlight = True
        timeouts = self.timeouts or timeouts
        self.limits = None if timeouts is None else RequestLimits(timer, timeouts, name, onLate)

    def answered(self) -> None:
        """There is a response."""
        self.isInFlight = False

    def over(self) -> None:
        """There will be none: nothing of it runs any more."""
        self.isInFlight = False
        if self.limits is not None:
            self.limits.over()

    def inform(self, status: int, fields: Iterable[Field]) -> None:
        """An informational response has come."""
        if self._onInformational is not None:
            try:
                self._onInformational(status, asHeaders(fields))
            except Exception:  # noqa: BLE001 - a user's code must not end a connection that is shared
                self._log.failure("onInformational of {uri!r} raised", uri=self.absoluteURI)

    def promised(self, promise: IPushPromise) -> bool:
        """
        A response is promised beside the one that was asked for.

        :return: whether somebody was told.
        """
        if self._onPush is None:
            return False
        try:
            self._onPush(promise)
        except Exception:  # noqa: BLE001 - a user's code must not end a connection that is shared
            self._log.failure("onPush of {uri!r} raised", uri=self.absoluteURI)
        return True


def asHeaders(fields: Iterable[Field]) -> Headers:
    """Fields as Twisted's users know them."""
    headers = Headers()
    for name, value in fields:
        headers.addRawHeader(name, value)
    return headers


def _announcesNothing(method: bytes, fields: Sequence[Field]) -> None:
    """:raises InvalidRequest: a content-length is given for a body that there is not."""
    for name, value in fields:
        if name == b"content-length" and int(value):
            raise InvalidRequest(
                f"content-length: {int(value)} for a {method.decode()} request without a body "
                "(RFC 9113 section 8.1.1)"
            )


def _length(body: IBodyProducer) -> int | None:
    """
    A body's length in octets; None if its producer does not know it.

    :raises InvalidRequest: the producer has no such length.
    """
    length: object = getattr(body, "length", None)
    if length == UNKNOWN_LENGTH:
        return None
    if not isinstance(length, int) or length < 0:
        raise InvalidRequest(f"the length {length!r} of {body!r} is neither octets nor UNKNOWN")
    return length
