"""
Messages as header lists, and back (RFC 9113 sections 8.2 and 8.3).

Owns the validation of fields in both directions. What a caller gives is checked before anything
is sent, and a mistake is :exc:`~txhyper.errors.InvalidRequest`; what a peer sends is checked
before anybody sees it, and a mistake is :exc:`MalformedHead`, which the engine turns into the
failure of one stream. Compresses nothing (:mod:`txhyper.core.hpack` does) and keeps nothing.

The rules of names and values are each one compiled expression over the whole list, joined by an
octet that no valid name or value may contain, because a loop in Python over the fields costs more
than all the rest of a small response.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from txhyper.errors import InvalidRequest

__all__ = [
    "FORBIDDEN",
    "NO_LENGTH",
    "SENSITIVE",
    "Field",
    "MalformedHead",
    "PromiseHead",
    "ResponseHead",
    "check_http2",
    "check_method",
    "check_target",
    "is_number",
    "is_value",
    "list_size",
    "parse_promise",
    "parse_response",
    "parse_trailers",
    "pseudo_fields",
    "request_fields",
    "show",
    "trailer_fields",
]

Field = tuple[bytes, bytes]

#: No content-length.
NO_LENGTH = -1

#: Fields that speak of the connection, which HTTP/2 does not have (RFC 9113 section 8.2.2).
FORBIDDEN = frozenset(
    [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"]
)

#: Values that are secrets: never put into a compression context (RFC 7541 section 7.1).
SENSITIVE = frozenset([b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"])

#: The pseudo-header fields that a promised request has, each once.
PROMISED = dict.fromkeys([b":method", b":scheme", b":authority", b":path"]).keys()

_token = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_usual_methods = frozenset([b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"])
_target = re.compile(rb"[\x21-\x7e]+").fullmatch
# Host and port, if there is one, and nothing that would end them in a URI or make a list of them.
_host = re.compile(
    rb"(?:\[[^\]\[/?#@,\0-\x20\x7f-\xff]+\]|[^\]\[/?#@,:\0-\x20\x7f-\xff]+)(?::[0-9]*)?"
).fullmatch
# A value neither starts nor ends with a space or a tab, and holds no NUL, CR or LF.
is_value = re.compile(rb"(?:[^\0\r\n\t ](?:[^\0\r\n]*[^\0\r\n\t ])?)?").fullmatch
is_number = re.compile(rb"[0-9]{1,19}").fullmatch

# The same over a whole list, each item followed by LF. Names of a peer are tokens in lower case, as
# RFC 9113 section 8.2.1 recommends: Twisted's Headers would refuse to hold any other.
_peer_names = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9a-z]+\n)*").fullmatch
_peer_values = re.compile(rb"(?:(?:[^\0\r\n\t ](?:[^\0\r\n]*[^\0\r\n\t ])?)?\n)*").fullmatch


class MalformedHead(Exception):
    """A header list that RFC 9113 section 8.1.1 calls malformed. The text says why."""


class ResponseHead:
    """
    A final or informational response's status and fields, as they came.

    Shared by every response that was decoded from the same octets: treat it as immutable.
    """

    __slots__ = ("content_length", "fields", "status")

    def __init__(self, status: int, fields: Sequence[Field], content_length: int) -> None:
        self.status = status
        #: The fields without ``:status``, names in lower case, in the order of the wire.
        self.fields = fields
        #: :data:`NO_LENGTH` where there is none.
        self.content_length = content_length


class PromiseHead:
    """The request that a server promises to answer without being asked (RFC 9113 section 8.4)."""

    __slots__ = ("authority", "fields", "method", "path", "scheme")

    def __init__(
        self, method: bytes, scheme: bytes, authority: bytes, path: bytes, fields: Sequence[Field]
    ) -> None:
        self.method = method
        self.scheme = scheme
        self.authority = authority
        self.path = path
        #: The fields without the pseudo-header fields, names in lower case.
        self.fields = fields


# -- what the caller gives ---------------------------------------------------------------------


def check_method(method: bytes) -> bytes:
    """
    :return: the method, which is any token (RFC 9110 section 9.1).
    :raises InvalidRequest: it is not one.
    """
    if method not in _usual_methods and not _token(method):
        raise InvalidRequest(f"the method {method!r} is not a token (RFC 9110 section 9.1)")
    return method


def check_target(target: bytes) -> bytes:
    """
    :return: the target, a URI or a part of one, which holds printable ASCII and no space.
    :raises InvalidRequest: it holds something else, or nothing.
    """
    if not _target(target):
        raise InvalidRequest(
            f"the URI {target!r} is not printable ASCII without spaces: other characters are sent "
            "in a host as IDNA (xn--), elsewhere percent-encoded"
        )
    return target


def request_fields(
    method: bytes,
    authority: bytes,
    given: Iterable[tuple[bytes, Sequence[bytes]]],
    content_length: int | None,
) -> tuple[bytes, list[Field]]:
    """
    The regular fields of a request, checked and in lower case, and its authority.

    A Host field takes the place of the URI's authority, as it does with Twisted's own Agent: in
    HTTP/2 it is carried by ``:authority`` alone (RFC 9113 section 8.3.1).

    :param given: names with their values, as :meth:`Headers.getAllRawHeaders` has them.
    :param content_length: the body's length where it is known; it must agree with a
        content-length that was given, and is added where none was.
    :raises InvalidRequest: before anything is sent; the text names the field.
    """
    fields: list[Field] = []
    hosts = []
    length_given = False
    for name, values in given:
        lower = name.lower()
        _check_name(lower)
        for value in values:
            _check_value(lower, value)
            if lower == b"host":
                hosts.append(value)
            elif lower == b"content-length":
                _check_length(method, value, content_length, length_given)
                length_given = True
                fields.append((lower, value))
            else:
                fields.append((lower, value))
    if len(hosts) > 1:
        raise InvalidRequest("more than one Host field (RFC 9112 section 3.2)")
    if hosts and not _host(hosts[0]):
        raise InvalidRequest(
            f"the Host {hosts[0]!r} is not a host in printable ASCII, and perhaps a port "
            "(RFC 9110 section 7.2)"
        )
    if content_length is not None and not length_given:
        fields.append((b"content-length", b"%d" % content_length))
    return (hosts[0] if hosts else authority), fields


def check_http2(fields: Iterable[Field]) -> None:
    """
    Refuse what is allowed over HTTP/1.1 only (RFC 9113 section 8.2.2).

    :raises InvalidRequest: a field speaks of the connection.
    """
    for name, value in fields:
        if name in FORBIDDEN:
            raise InvalidRequest(
                f"the field {name.decode()} speaks of the connection, which HTTP/2 does not allow "
                "(RFC 9113 section 8.2.2)"
            )
        if name == b"te" and value.lower() != b"trailers":
            raise InvalidRequest(
                f"te: {value!r}: HTTP/2 allows only trailers (RFC 9113 section 8.2.2)"
            )


def trailer_fields(given: Iterable[tuple[bytes, Sequence[bytes]]]) -> list[Field]:
    """
    The fields of a request's trailer section, checked and in lower case.

    :raises InvalidRequest: the text names the field.
    """
    fields: list[Field] = []
    for name, values in given:
        lower = name.lower()
        _check_name(lower)
        if lower in FORBIDDEN or lower in (b"content-length", b"host", b"te"):
            raise InvalidRequest(f"{lower.decode()} is no trailer (RFC 9110 section 6.5.1)")
        for value in values:
            _check_value(lower, value)
            fields.append((lower, value))
    return fields


def _check_name(lower: bytes) -> None:
    if not _token(lower):
        raise InvalidRequest(f"the field name {lower!r} is not a token (RFC 9110 section 5.1)")


def _check_value(lower: bytes, value: bytes) -> None:
    if not is_value(value):
        shown = f"{len(value)} octets" if lower in SENSITIVE else repr(value)
        raise InvalidRequest(
            f"the value of {lower.decode()}, {shown}, has a control character or white space "
            "where RFC 9113 section 8.2.1 allows none"
        )


def _check_length(method: bytes, value: bytes, known: int | None, again: bool) -> None:
    """A content-length of the caller's: one, plain digits, and true."""
    if again:
        raise InvalidRequest("more than one content-length (RFC 9110 section 8.6)")
    if not is_number(value):
        raise InvalidRequest(f"content-length: {value!r} is not a number (RFC 9110 section 8.6)")
    if known is not None and int(value) != known:
        raise InvalidRequest(
            f"content-length: {int(value)} for a {method.decode()} body of {known} octets "
            "(RFC 9113 section 8.1.1)"
        )


# -- what the peer sends -----------------------------------------------------------------------


def parse_response(fields: Sequence[Field]) -> ResponseHead:
    """
    A response's header list, checked.

    :raises MalformedHead: it breaks RFC 9113 section 8.1.1; the text says how.
    """
    if not fields or fields[0][0] != b":status":
        raise MalformedHead("the first field is not :status")
    status = fields[0][1]
    if len(status) != 3 or not is_number(status) or status[0] == 0x30:
        raise MalformedHead(f"the status {status!r} is not three digits")
    code = int(status)
    if code == 101:
        raise MalformedHead("the status 101 does not exist in HTTP/2 (RFC 9113 section 8.6)")
    regular = fields[1:]
    return ResponseHead(code, regular, _check_peer(regular))


def parse_promise(fields: Sequence[Field]) -> PromiseHead:
    """
    A promised request's header list, checked: complete, of a method that is safe and may be cached,
    and without content (RFC 9113 sections 8.3.1 and 8.4).

    :raises MalformedHead: it is not; the text says why.
    """
    pseudo = dict(fields[:4])
    if pseudo.keys() != PROMISED:
        raise MalformedHead("the first four fields are not a request's pseudo-header fields")
    regular = fields[4:]
    length = _check_peer(regular)
    method, scheme, authority, path = (pseudo[name] for name in PROMISED)
    if method not in (b"GET", b"HEAD"):
        raise MalformedHead(f"a promise of the method {method!r}, which is not safe")
    if length > 0:
        raise MalformedHead(f"a promise of a request with {length} octets of content")
    if not (_target(authority) and _target(path) and path.startswith(b"/")):
        raise MalformedHead("a promise without a valid authority and path")
    return PromiseHead(method, scheme, authority, path, regular)


def parse_trailers(fields: Sequence[Field]) -> Sequence[Field]:
    """
    A response's trailer section, checked.

    :raises MalformedHead: it has a pseudo-header field or breaks a rule of all fields.
    """
    _check_peer(fields)
    return fields


def _check_peer(fields: Sequence[Field]) -> int:
    """Check the regular fields of a peer. :return: the content-length, or NO_LENGTH."""
    names = [name for name, _ in fields]
    joined = b"\n".join(names)
    # The counts catch an LF inside a name or a value, the expressions everything else.
    if names and (not _peer_names(joined + b"\n") or joined.count(b"\n") != len(names) - 1):
        raise MalformedHead(_blame_name(names))
    values = b"\n".join([value for _, value in fields])
    if fields and (not _peer_values(values + b"\n") or values.count(b"\n") != len(fields) - 1):
        raise MalformedHead(_blame_value(fields))
    known = set(names)
    if not FORBIDDEN.isdisjoint(known):
        name = sorted(FORBIDDEN & known)[0]
        raise MalformedHead(f"the connection-specific field {name.decode()}")
    if b"te" in known and any(n == b"te" and v.lower() != b"trailers" for n, v in fields):
        raise MalformedHead("te is not trailers")
    if b"content-length" not in known:
        return NO_LENGTH
    lengths = [value for name, value in fields if name == b"content-length"]
    if len(lengths) > 1 or not is_number(lengths[0]):
        shown = ", ".join(repr(length) for length in lengths)
        raise MalformedHead(f"content-length {shown} is not one number")
    return int(lengths[0])


def _blame_name(names: Iterable[bytes]) -> str:
    """Say which name was refused; only looked for once one was."""
    name = next(name for name in names if not _peer_names(name + b"\n") or b"\n" in name)
    if name.startswith(b":"):
        return f"the pseudo-header field {name!r} where none may stand"
    return f"the field name {name!r}"


def _blame_value(fields: Iterable[Field]) -> str:
    """Say which value was refused."""
    name = next(name for name, value in fields if not is_value(value))
    return f"the value of {name!r}"


def pseudo_fields(method: bytes, scheme: bytes, authority: bytes, path: bytes) -> list[Field]:
    """
    The pseudo-header fields of a request, which come first (RFC 9113 section 8.3.1).

    CONNECT has neither ``:scheme`` nor ``:path`` (RFC 9113 section 8.5).
    """
    if method == b"CONNECT":
        return [(b":method", method), (b":authority", authority)]
    return [
        (b":method", method),
        (b":scheme", scheme),
        (b":authority", authority),
        (b":path", path),
    ]


def show(fields: Iterable[Field]) -> str:
    """A header list as text in one line, for people. Secrets are told by their length alone."""
    return " ".join(
        f"{name.decode('latin-1')!r}: "
        + (f"<{len(value)} octets>" if name in SENSITIVE else repr(value.decode("latin-1")))
        for name, value in fields
    )


def list_size(fields: Iterable[Field]) -> int:
    """The size of a header list as RFC 9113 section 6.5.2 counts it, in octets."""
    return sum(32 + len(name) + len(value) for name, value in fields)
