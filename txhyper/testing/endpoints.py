"""
The demo server's paths, in the manner of httpbin.

Owns what each path answers. It never touches the wire and keeps nothing between two requests:
what a client is told comes from its request alone, and the same request always gets the same
answer. :class:`txhyper.testing.server.DemoServer` serves them, and tests read what they promise
from :func:`pseudoRandom`.

============================================ ====================================================
``/get /post /put /patch /delete``           what was received, as JSON; the method must fit
``/anything[/...]``                          the same, for every method and path below
``/headers /ip /user-agent /cookies``        a part of it
``/upload``                                  number and SHA-256 of a body's octets, however many
``/status/N``                                that status
``/bytes/N?seed=``                           N pseudo-random octets, up to 128 MiB
``/stream-bytes/N?seed=&chunk_size=``        the same without a content-length
``/stream/N``                                N lines of JSON
``/delay/N``                                 like ``/anything``, N seconds late (at most 10)
``/drip?numbytes=&duration=&delay=&code=``   asterisks, one by one
``/redirect/N /relative-redirect/N``         N redirects, then ``/get``
``/absolute-redirect/N``                     the same with whole URLs
``/redirect-to?url=&status_code=``           a redirect to there
``/cookies/set?name=value``                  sets cookies and redirects to ``/cookies``
``/cookies/delete?name``                     lets them expire
``/gzip /deflate``                           a compressed answer
``/response-headers?name=value``             those fields in the response
``/html /json /encoding/utf8 /robots.txt``   samples
============================================ ====================================================
"""

from __future__ import annotations

import gzip as gzipModule
import json
import random
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from hashlib import sha256
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from txhyper.testing.forms import describeBody, printable
from txhyper.testing.responder import Responder
from txhyper.testing.samples import HTML, JSON, ROBOTS, UTF8
from txhyper.testing.site import Endpoint, Refusal, ServerRequest, Site

__all__ = ["demoSite", "pseudoRandom"]

_MiB = 1024 * 1024

#: The largest body that is shown to its sender.
_ECHO_LIMIT = 8 * _MiB
_BYTES_LIMIT = 128 * _MiB
_DRIP_LIMIT = 64 * 1024
_SECONDS_LIMIT = 10.0
_PIECE = 64 * 1024

_TEXT = b"text/plain; charset=utf-8"
_OCTETS = b"application/octet-stream"


def pseudoRandom(size: int, seed: int = 0) -> Iterator[bytes]:
    """
    What ``/bytes/size?seed=seed`` sends, in pieces.

    A longer answer begins with the octets of a shorter one, up to the last 64 KiB piece.
    """
    source = random.Random(seed)
    while size > 0:
        piece = min(size, _PIECE)
        yield source.randbytes(piece)
        size -= piece


def _rechunked(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Cut the same octets into chunks of one size."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)


def _number(text: str, low: int, high: int) -> int:
    """
    Read a whole number.

    :raise Refusal: it is none, or out of bounds: a 400.
    """
    # The length is bounded before int() may take its time over it.
    if text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high:
        return int(text)
    raise Refusal(400, f"{text!r} is not a number from {low} to {high}")


def _seconds(text: str) -> float:
    """
    Read a number of seconds, cut down to ten.

    :raise Refusal: it is not one: a 400.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    # Written so that a NaN is refused, too.
    if not seconds >= 0:
        raise Refusal(400, f"{text!r} is not a number of seconds")
    return min(seconds, _SECONDS_LIMIT)


def _shownHeaders(request: ServerRequest) -> dict[str, str]:
    """The request's fields; the authority is shown as the ``host`` that it stands for."""
    shown = {"host": request.authority}
    for name, _ in request.headers:
        shown[printable(name)] = printable(request.header(name) or b"")
    return shown


def _shownArguments(request: ServerRequest) -> dict[str, str | list[str]]:
    """The query's names, each with its value, or a list of them when there are several."""
    shown: dict[str, str | list[str]] = {}
    for name, _ in request.arguments:
        values = [value for each, value in request.arguments if each == name]
        shown[name] = values if len(values) > 1 else values[0]
    return shown


def _summary(request: ServerRequest) -> dict[str, object]:
    return {
        "args": _shownArguments(request),
        "headers": _shownHeaders(request),
        "method": printable(request.method),
        "origin": request.peer,
        "url": request.url,
    }


def get(request: ServerRequest, responder: Responder) -> None:
    """Show the request without its body."""
    responder.respondJSON(_summary(request))


async def echo(request: ServerRequest, responder: Responder) -> None:
    """Show the request and its body, up to 8 MiB."""
    body = await request.body.read(_ECHO_LIMIT)
    shown = describeBody(body, request.header(b"content-type") or b"")
    if request.trailers:
        shown["trailers"] = {printable(name): printable(value) for name, value in request.trailers}
    responder.respondJSON(_summary(request) | shown)


async def upload(request: ServerRequest, responder: Responder) -> None:
    """Count a body's octets and take their digest, in constant memory."""
    digest = sha256()
    octets = 0

    def add(piece: bytes) -> None:
        nonlocal octets
        octets += len(piece)
        digest.update(piece)

    await request.body.each(add)
    responder.respondJSON({"octets": octets, "sha256": digest.hexdigest()})


def headers(request: ServerRequest, responder: Responder) -> None:
    """Show the request's fields."""
    responder.respondJSON({"headers": _shownHeaders(request)})


def ip(request: ServerRequest, responder: Responder) -> None:
    """Show the client's address."""
    responder.respondJSON({"origin": request.peer})


def userAgent(request: ServerRequest, responder: Responder) -> None:
    """Show how the client calls itself."""
    value = request.header(b"user-agent")
    responder.respondJSON({"user-agent": None if value is None else printable(value)})


def status(request: ServerRequest, responder: Responder) -> None:
    """Answer with a status and no content; a redirect leads to ``/get``."""
    code = _number(request.variables["code"], 200, 599)
    location = [(b"location", b"/get")] if code in (301, 302, 303, 307, 308) else []
    responder.respond(code, location)


def octets(request: ServerRequest, responder: Responder) -> None:
    """Send pseudo-random octets, of a length told beforehand."""
    size = _number(request.variables["size"], 0, _BYTES_LIMIT)
    seed = _number(request.argument("seed", "0"), 0, 2**63)
    fields = [(b"content-type", _OCTETS), (b"content-length", b"%d" % size)]
    responder.respond(200, fields, pseudoRandom(size, seed))


def streamOctets(request: ServerRequest, responder: Responder) -> None:
    """Send pseudo-random octets, of a length that shows at their end only."""
    size = _number(request.variables["size"], 0, _BYTES_LIMIT)
    seed = _number(request.argument("seed", "0"), 0, 2**63)
    chunkSize = _number(request.argument("chunk_size", "10240"), 1, _MiB)
    chunks = _rechunked(pseudoRandom(size, seed), chunkSize)
    responder.respond(200, [(b"content-type", _OCTETS)], chunks)


def stream(request: ServerRequest, responder: Responder) -> None:
    """Send lines of JSON, each one a chunk of its own."""
    count = _number(request.variables["count"], 0, 1000)
    summary = _summary(request)
    lines = (json.dumps({"id": each} | summary).encode("ascii") + b"\n" for each in range(count))
    responder.respond(200, [(b"content-type", b"application/json")], lines)


async def delay(clock: IReactorTime, request: ServerRequest, responder: Responder) -> None:
    """Show the request and its body after a while."""
    await deferLater(clock, _seconds(request.variables["seconds"]))
    await echo(request, responder)


async def drip(clock: IReactorTime, request: ServerRequest, responder: Responder) -> None:
    """Send asterisks one by one, evenly spread over a duration."""
    count = _number(request.argument("numbytes", "10"), 0, _DRIP_LIMIT)
    duration = _seconds(request.argument("duration", "2"))
    code = _number(request.argument("code", "200"), 200, 599)
    fields = [(b"content-type", _OCTETS), (b"content-length", b"%d" % count)]

    def drops() -> Iterator[bytes | Deferred[bytes]]:
        for each in range(count):
            yield deferLater(clock, duration / count, lambda: b"*") if each else b"*"

    await deferLater(clock, _seconds(request.argument("delay", "0")))
    responder.respond(code, fields, drops())


def _redirect(responder: Responder, location: str, code: int = 302) -> None:
    """Redirect; what a URL may not hold is percent-encoded, and what is encoded stays so."""
    value = quote(location, safe="!#$%&'()*+,/:;=?@[]~")
    responder.respond(code, [(b"location", value.encode("ascii"))])


def redirect(request: ServerRequest, responder: Responder, *, isAbsolute: bool = False) -> None:
    """Redirect a number of times, then to ``/get``."""
    count = _number(request.variables["count"], 1, 1000)
    kind = "absolute-redirect" if isAbsolute else "relative-redirect"
    path = "/get" if count == 1 else f"/{kind}/{count - 1}"
    base = f"{request.scheme}://{request.authority}" if isAbsolute else ""
    _redirect(responder, base + path)


def redirectTo(request: ServerRequest, responder: Responder) -> None:
    """Redirect to the URL that the query asks for."""
    code = _number(request.argument("status_code", "302"), 300, 399)
    _redirect(responder, request.argument("url"), code)


def cookies(request: ServerRequest, responder: Responder) -> None:
    """Show the cookies that came with the request."""
    pairs = [each.partition("=") for each in printable(request.header(b"cookie") or b"").split(";")]
    shown = {name.strip(): value.strip() for name, _, value in pairs if name.strip()}
    responder.respondJSON({"cookies": shown})


def _setCookies(request: ServerRequest, responder: Responder, ending: bytes) -> None:
    """Send the query as cookies, and the client to ``/cookies``."""
    fields = [(b"location", b"/cookies")]
    for name, value in request.arguments:
        # What separates cookies may not be within one (RFC 6265 section 4.1.1).
        cookie = f"{quote(name, safe='')}={quote(value, safe='!#$&()*+/:<=>?@[]^`{|}~')}"
        fields.append((b"set-cookie", cookie.encode("ascii") + ending))
    responder.respond(302, fields)


def setCookies(request: ServerRequest, responder: Responder) -> None:
    """Set the query's names and values as cookies."""
    _setCookies(request, responder, b"; Path=/")


def deleteCookies(request: ServerRequest, responder: Responder) -> None:
    """Let the cookies that the query names expire."""
    _setCookies(request, responder, b"; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT")


def gzip(request: ServerRequest, responder: Responder) -> None:
    """Answer in the content coding gzip."""
    text = json.dumps({"gzipped": True} | _summary(request), indent=2).encode("ascii") + b"\n"
    # No time of day within: the same request gets the same octets.
    _compressed(responder, b"gzip", gzipModule.compress(text, mtime=0))


def deflate(request: ServerRequest, responder: Responder) -> None:
    """Answer in the content coding deflate, which has zlib's wrapper (RFC 9110 section 8.4.1.2)."""
    text = json.dumps({"deflated": True} | _summary(request), indent=2).encode("ascii") + b"\n"
    _compressed(responder, b"deflate", zlib.compress(text))


def _compressed(responder: Responder, coding: bytes, body: bytes) -> None:
    fields = [(b"content-type", b"application/json"), (b"content-encoding", coding)]
    responder.respond(200, fields, body)


def responseHeaders(request: ServerRequest, responder: Responder) -> None:
    """Send the query's names and values as response fields, and show them."""
    fields = [(name.encode("utf-8"), value.encode("utf-8")) for name, value in request.arguments]
    try:
        responder.respondJSON(_shownArguments(request), 200, fields)
    except ValueError as error:
        raise Refusal(400, str(error)) from error


def trailers(request: ServerRequest, responder: Responder) -> None:
    """Send the query's names and values as trailer fields behind the body, which shows them."""
    fields = [(name.encode("utf-8"), value.encode("utf-8")) for name, value in request.arguments]
    body = json.dumps(_shownArguments(request), indent=2).encode("ascii") + b"\n"
    try:
        responder.respond(200, [(b"content-type", b"application/json")], body, fields)
    except ValueError as error:
        raise Refusal(400, str(error)) from error


def earlyHints(request: ServerRequest, responder: Responder) -> None:
    """Send a 103 with a link, and then what ``/get`` sends."""
    responder.sendInformational(103, [(b"link", b"</style.css>; rel=preload; as=style")])
    get(request, responder)


def sample(contentType: bytes, body: bytes, request: ServerRequest, responder: Responder) -> None:
    """Send something that is always the same."""
    responder.respond(200, [(b"content-type", contentType)], body)


def demoSite(clock: IReactorTime) -> Site:
    """
    Make a site with all of this module's paths, to serve it or to add to it.

    :param clock: what ``/delay`` and ``/drip`` wait on: the reactor.
    """
    site = Site()
    plain: dict[str, Endpoint] = {
        "/get": get,
        "/headers": headers,
        "/ip": ip,
        "/user-agent": userAgent,
        "/bytes/{size}": octets,
        "/stream-bytes/{size}": streamOctets,
        "/stream/{count}": stream,
        "/drip": partial(drip, clock),
        "/redirect/{count}": redirect,
        "/relative-redirect/{count}": redirect,
        "/absolute-redirect/{count}": partial(redirect, isAbsolute=True),
        "/cookies": cookies,
        "/cookies/set": setCookies,
        "/cookies/delete": deleteCookies,
        "/early-hints": earlyHints,
        "/gzip": gzip,
        "/deflate": deflate,
        "/html": partial(sample, b"text/html; charset=utf-8", HTML),
        "/json": partial(sample, b"application/json", JSON),
        "/encoding/utf8": partial(sample, _TEXT, UTF8),
        "/trailers": trailers,
        "/robots.txt": partial(sample, _TEXT, ROBOTS),
    }
    for pattern, endpoint in plain.items():
        site.add(pattern, endpoint)
    for method in (b"POST", b"PUT", b"PATCH", b"DELETE"):
        site.add(f"/{method.decode('ascii').lower()}", echo, method)
    site.add("/upload", upload, b"POST", b"PUT")
    site.add("/response-headers", responseHeaders, b"GET", b"POST")
    anyMethod: dict[str, Endpoint] = {
        "/anything": echo,
        "/anything/{rest*}": echo,
        "/delay/{seconds}": partial(delay, clock),
        "/status/{code}": status,
        "/redirect-to": redirectTo,
    }
    for pattern, endpoint in anyMethod.items():
        site.add(pattern, endpoint, b"*")
    return site
