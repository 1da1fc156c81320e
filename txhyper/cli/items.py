"""
From the words of a command line to the request that they ask for.

Owns the grammar ``[METHOD] URL [ITEM ...]`` and what a URL typed by a person may leave out. It
reads no file, opens no connection and imports no reactor: words in, a :class:`Plan` out, or
:class:`~twisted.python.usage.UsageError` with a message for the person who typed them.
:mod:`txhyper.cli.options` calls it.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, field

from twisted.python.usage import UsageError

import txhyper

__all__ = ["Items", "Plan", "Target", "parse_items", "parse_target", "plan"]

#: A method or field name of RFC 9110 section 5.6.2.
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: The first separator of an item ends its name. ``==`` is one separator, not two.
ITEM = re.compile(r"(?P<name>[^:=]*)(?P<separator>==|=|:)(?P<value>.*)", re.DOTALL)
#: A DNS name, after IDNA. Underscores are not in the RFCs and are in real names.
HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
ZONE = re.compile(r"[A-Za-z0-9._~-]*")
#: A percent sign that begins no escape.
BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
#: Methods that may be typed in small letters, and that no host is called.
METHODS = frozenset(
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"]
)
#: What RFC 3986 lets stand in a path, and in a query.
PATH_SAFE = "/:@!$&'()*+,;=-._~%"
QUERY_SAFE = PATH_SAFE + "?"


@dataclass(frozen=True)
class Plan:
    """One request, as far as the command line tells it."""

    method: bytes
    #: Scheme and authority, such as ``b"https://example.com:8443"``; None for ``--demo``, whose
    #: server is not listening yet.
    origin: bytes | None
    #: Path and query, as they go on the wire.
    target: bytes
    #: Names and values, in the order in which they were typed, the defaults first.
    headers: tuple[tuple[bytes, bytes], ...]
    #: The JSON text of the fields, or None when there are none.
    body: bytes | None


@dataclass
class Items:
    """What the items of a command line say, sorted by their separators."""

    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    query: list[tuple[str, str]] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """A URL taken to pieces: where to go, what to ask for, and who is asking."""

    origin: bytes | None
    path: str
    query: str
    #: The value of an ``authorization`` header, when the URL carried a user name.
    authorization: bytes | None = None


def octets(text: str) -> bytes:
    """The octets that were typed, also where they are not UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def parse_items(words: Sequence[str]) -> Items:
    """
    Sort items into headers (``Name:value``), query parameters (``name==value``) and fields
    (``name=value``).

    The first separator in an item wins, so that a value may hold any of them.
    """
    items = Items()
    for word in words:
        match = ITEM.fullmatch(word)
        if match is None:
            raise UsageError(
                f"{word!r} is no item: write Header:value, parameter==value or field=value"
            )
        name, separator, value = match.group("name", "separator", "value")
        if not name:
            raise UsageError(f"the item {word!r} has no name before its {separator!r}")
        if separator == "==":
            items.query.append((name, value))
        elif separator == "=":
            items.fields[name] = value
        elif name.lower() in ("http", "https") and value.startswith("//"):
            raise UsageError(f"{word!r} is a second URL: only one is fetched at a time")
        else:
            items.headers.append(parse_header(name, value))
    return items


def parse_header(name: str, value: str) -> tuple[bytes, bytes]:
    """
    A header's name and value, ready to be sent.

    White space around a value is no part of it (RFC 9110 section 5.5). An empty value is sent.
    """
    if TOKEN.fullmatch(name) is None:
        raise UsageError(f"{name!r} is no header name")
    if any(c in value for c in "\r\n\0"):
        raise UsageError(f"the value of the header {name!r} holds a line break or a NUL")
    return octets(name), octets(value.strip(" \t"))


def parse_target(url: str) -> Target:
    """
    Read an http or https URL as a person types it.

    A URL without a scheme is https. Characters that a URL cannot carry are percent-encoded as
    UTF-8, hosts outside ASCII go through IDNA, a fragment is dropped, and a user name becomes
    the value of an ``authorization`` header (Basic, RFC 7617).
    """
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in url):
        raise UsageError(f"the URL {url!r} holds a control character")
    if "://" not in url:
        url = "https:" + url if url.startswith("//") else "https://" + url
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"the URL {url!r} is wrong: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise UsageError(f"the URL {url!r} is neither http nor https")
    if not host:
        raise UsageError(f"the URL {url!r} names no host")
    origin = f"{parts.scheme}://{encode_host(host)}" + ("" if port is None else f":{port}")
    return Target(
        origin.encode("ascii"),
        escape(parts.path, PATH_SAFE) or "/",
        escape(parts.query, QUERY_SAFE),
        None if parts.username is None else basic(parts.username, parts.password or ""),
    )


def parse_demo_target(path: str) -> Target:
    """Read a path on the demo server, with its query if it has one."""
    if "://" in path:
        raise UsageError(f"with --demo give a path such as /get, not the URL {path!r}")
    target = parse_target("https://demo.invalid/" + path.removeprefix("/"))
    return Target(None, target.path, target.query)


def encode_host(host: str) -> str:
    """
    The host as it stands in an origin: brackets around IPv6, with its zone as RFC 6874 writes it,
    and ASCII letters everywhere.
    """
    if ":" in host:
        # As curl does: people leave the percent sign before a zone as it is, the RFC does not.
        address, _, zone = host.partition("%")
        zone = re.sub("^25(?=.)", "", zone)
        try:
            ipaddress.IPv6Address(address)
        except ValueError:
            raise UsageError(f"{host!r} is no IPv6 address") from None
        if ZONE.fullmatch(zone) is None:
            raise UsageError(f"{zone!r} is no zone of an IPv6 address")
        return f"[{address}%25{zone}]" if zone else f"[{address}]"
    if not host.isascii():
        # Half of what idna costs to import is its tables, and few hosts need them.
        import idna

        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise UsageError(f"{host!r} is no host name: {error}") from None
    if HOST.fullmatch(host) is None:
        raise UsageError(f"{host!r} is no host name")
    return host


def escape(text: str, safe: str) -> str:
    """Percent-encode what may not stand in a URL, and leave alone what is already encoded."""
    quoted = urllib.parse.quote(text, safe=safe, encoding="utf-8", errors="surrogateescape")
    return BARE_PERCENT.sub("%25", quoted)


def basic(user: str, password: str) -> bytes:
    """The credentials of a URL as the value of an ``authorization`` header."""
    pair = b":".join(urllib.parse.unquote_to_bytes(octets(part)) for part in (user, password))
    return b"Basic " + base64.b64encode(pair)


def looks_like_url(word: str) -> bool:
    """Whether a word that follows another is rather a URL or a path than an item."""
    return "://" in word or word.startswith("/") or ITEM.fullmatch(word) is None


def split_method(words: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """
    Take the method off the front of the words, if one stands there.

    A common method may be typed in small letters. Any other word is a method when it is a token
    without a dot, more words follow, and it is in capitals or followed by what must be a URL.
    """
    first, rest = words[0], words[1:]
    if first in METHODS:
        return first, rest
    if not rest:
        return None, words
    if first.upper() in METHODS:
        return first.upper(), rest
    if (
        TOKEN.fullmatch(first) is not None
        and "." not in first
        and (first.isupper() or looks_like_url(rest[0]))
    ):
        return first, rest
    return None, words


def plan(words: Sequence[str], demo: bool = False) -> Plan:
    """
    Turn ``[METHOD] URL [ITEM ...]``, or ``[METHOD] PATH [ITEM ...]`` for ``--demo``, into a Plan.

    Without a method it is GET, or POST when there are fields. A header that is typed replaces
    the default of the same name, whatever its case.
    """
    what = "PATH" if demo else "URL"
    if not words:
        raise UsageError(f"the {what} is missing (--help tells more)")
    method, words = split_method(words)
    if not words:
        raise UsageError(f"the {what} after {method} is missing (--help tells more)")
    target = parse_demo_target(words[0]) if demo else parse_target(words[0])
    items = parse_items(words[1:])

    added = urllib.parse.urlencode(items.query, encoding="utf-8", errors="surrogateescape")
    query = "&".join(part for part in (target.query, added) if part)
    headers = [
        (b"user-agent", f"hyperfetch/{txhyper.__version__}".encode("ascii")),
        (b"accept", b"*/*"),
    ]
    body = None
    if items.fields:
        headers.append((b"content-type", b"application/json"))
        body = json.dumps(items.fields).encode("ascii")
    if target.authorization is not None:
        headers.append((b"authorization", target.authorization))
    typed = {name.lower() for name, _ in items.headers}
    return Plan(
        method=(method or ("GET" if body is None else "POST")).encode("ascii"),
        origin=target.origin,
        target=(target.path + ("?" + query if query else "")).encode("ascii"),
        headers=(*(pair for pair in headers if pair[0] not in typed), *items.headers),
        body=body,
    )
