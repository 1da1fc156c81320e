"""
Header fields as hyper's users know them.

Owns :class:`HTTPHeaderMap`: fields in their order, looked up without regard to case, with lists of
values. Checks nothing, since it holds what others have said; what may be sent is checked where it
is sent (:mod:`txhyper.core.headers`). Made by users and by what hands hyper's responses out;
nothing on the way of a request needs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar, overload

from txhyper.core.headers import SENSITIVE, Field

__all__ = ["NEVER_SPLIT", "HTTPHeaderMap"]

T = TypeVar("T")

#: What is taken for a name or a value. Text becomes UTF-8.
Text = bytes | str

#: What is taken for a value where several fields are given at once.
Values = Text | Iterable[Text]


class RawHeaders(Protocol):
    """Twisted's ``Headers``, or what is like them."""

    def getAllRawHeaders(self) -> Iterable[tuple[bytes, Iterable[bytes]]]:
        """Names, each with its values."""


#: Where fields may come from: pairs, something with ``items()``, Twisted's ``Headers``, or a map
#: of ours.
Fields: TypeAlias = (
    "HTTPHeaderMap | RawHeaders | Mapping[str, Values] | Mapping[bytes, Values]"
    " | Iterable[tuple[Text, Values]]"
)

#: Fields in which a comma separates no values: cookies, dates, free text, URIs, credentials and
#: challenges, JSON. All others are lists, or have no commas (RFC 9110 sections 5.5 and 5.6.1).
NEVER_SPLIT = frozenset(
    [
        b"authorization",
        b"content-disposition",
        b"content-location",
        b"cookie",
        b"date",
        b"expires",
        b"if-modified-since",
        b"if-range",
        b"if-unmodified-since",
        b"last-modified",
        b"location",
        b"nel",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"referer",
        b"report-to",
        b"retry-after",
        b"server",
        b"set-cookie",
        b"set-cookie2",
        b"sunset",
        b"user-agent",
        b"www-authenticate",
    ]
)

_BLANK = b" \t"

# A member of a list: no comma stands outside its quoted strings (RFC 9110 section 5.6.4). One that
# is not closed runs to the end. There is one way to match anything, so it takes linear time.
_quoted = rb'"(?:[^"\\]|\\.?)*"?'
_member = re.compile(rb"(?s:(?:[^\",]+|" + _quoted + rb")+)")
# In Link the URI is in brackets, and may have commas as well (RFC 8288 section 3).
_link = re.compile(rb"(?s:(?:[^\",<]+|<[^>]*>?|" + _quoted + rb")+)")


class HTTPHeaderMap:
    """
    Header fields: ordered, with any number of values for a name, and names in any case.

    It is not a dictionary. ``map[name]`` is the *list* of a name's values, and setting an item
    *adds* one::

        >>> headers = HTTPHeaderMap([("Accept", "text/html, */*")])
        >>> headers["accept"] = "image/png"
        >>> headers["ACCEPT"]
        [b'text/html', b'*/*', b'image/png']

    A field comes in two forms. *Raw* is what was added, for :meth:`iter_raw`. Everything else
    speaks in the *canonical* form, one pair for each value: the name in lower case, a list taken
    apart at its commas, without the blanks around them and without empty members (RFC 9110 section
    5.6.1). A comma in a quoted string separates nothing, nor does one in the brackets of a Link,
    nor any in set-cookie and the other fields of :data:`~txhyper.core.header_map.NEVER_SPLIT`. A
    field has one value at least, be it an empty one.

    Names and values are given as bytes, or as text, which becomes UTF-8. They come out as bytes.

    From Twisted's ``Headers`` it is made by ``HTTPHeaderMap(headers)``, and
    ``Headers(map.raw_lists())`` is the way back. ``Headers`` keeps the order of the values of
    each name, not that of different names among one another.

    To look a name up takes time in proportion to all fields. A map must not be changed while it is
    iterated over.
    """

    __slots__ = ("_fields",)

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, *sources: Fields, **fields: Values) -> None:
        """
        :param sources: each is added as by :meth:`merge`.
        :param fields: more fields, by their names.
        :raises TypeError: a name or a value is neither bytes nor text.
        """
        self._fields: list[Field] = []
        for source in (*sources, fields):
            self.merge(source)

    # -- reading -------------------------------------------------------------------------------

    def __getitem__(self, name: Text) -> list[bytes]:
        """
        All values of a name, in their order.

        :raises KeyError: there are none.
        """
        found = self._values(name)
        if not found:
            raise KeyError(name)
        return found

    @overload
    def get(self, name: Text) -> list[bytes] | None: ...

    @overload
    def get(self, name: Text, default: T) -> list[bytes] | T: ...

    def get(self, name: Text, default: object = None) -> object:
        """All values of a name, in their order; the default if there are none."""
        return self._values(name) or default

    def _values(self, name: Text) -> list[bytes]:
        lower = _octets(name).lower()
        return [
            value
            for known, raw in self._fields
            if known.lower() == lower
            for value in _split(lower, raw)
        ]

    def __contains__(self, name: Text) -> bool:
        """Whether there is a field of this name."""
        lower = _octets(name).lower()
        return any(known.lower() == lower for known, _ in self._fields)

    def __iter__(self) -> Iterator[Field]:
        """All fields in canonical form, one pair for each value."""
        for name, raw in self._fields:
            lower = name.lower()
            for value in _split(lower, raw):
                yield lower, value

    def __len__(self) -> int:
        """How many pairs iterating gives."""
        return sum(1 for _ in self)

    def items(self) -> Iterator[Field]:
        """The same as iterating."""
        return iter(self)

    def keys(self) -> Iterator[bytes]:
        """The name of each value: one that has two values comes twice."""
        return (name for name, _ in self)

    def values(self) -> Iterator[bytes]:
        """Each value."""
        return (value for _, value in self)

    def iter_raw(self) -> Iterator[Field]:
        """The fields as they were added, in their order: what a server really sent."""
        return iter(self._fields)

    def raw_lists(self) -> dict[bytes, list[bytes]]:
        """
        The fields as they were added, gathered by their names in lower case, as Twisted's
        ``Headers`` takes them.
        """
        gathered: dict[bytes, list[bytes]] = {}
        for name, raw in self._fields:
            gathered.setdefault(name.lower(), []).append(raw)
        return gathered

    def __eq__(self, other: object) -> bool:
        """Whether two maps have the same fields in the same order, in canonical form."""
        if not isinstance(other, HTTPHeaderMap):
            return NotImplemented
        return list(self) == list(other)

    def __repr__(self) -> str:
        """The raw fields. Of cookies and credentials, the lengths alone."""
        shown = ", ".join(
            f"({name!r}, <{len(raw)} octets>)"
            if name.lower() in SENSITIVE
            else f"({name!r}, {raw!r})"
            for name, raw in self._fields
        )
        return f"HTTPHeaderMap([{shown}])"

    # -- changing ------------------------------------------------------------------------------

    def __setitem__(self, name: Text, value: Text) -> None:
        """Add a field at the end. What is there of this name stays: see :meth:`replace`."""
        self._fields.append((_octets(name), _octets(value)))

    def __delitem__(self, name: Text) -> None:
        """
        Remove all fields of a name.

        :raises KeyError: there are none.
        """
        lower = _octets(name).lower()
        kept = [field for field in self._fields if field[0].lower() != lower]
        if len(kept) == len(self._fields):
            raise KeyError(name)
        self._fields = kept

    def replace(self, name: Text, value: Text) -> None:
        """
        Give a name this one value. It takes the place of the name's first field, and the others
        are removed; if there is none, it is added at the end.
        """
        new = (_octets(name), _octets(value))
        lower = new[0].lower()
        kept: list[Field] = []
        placed = False
        for field in self._fields:
            if field[0].lower() != lower:
                kept.append(field)
            elif not placed:
                kept.append(new)
                placed = True
        if not placed:
            kept.append(new)
        self._fields = kept

    def merge(self, other: Fields) -> None:
        """
        Add all fields of another map, raw; or of Twisted's ``Headers``, of pairs, or of what has
        ``items()``, where a value may be a list of them. What is there stays. A map that is merged
        into itself stays as it is.

        :raises TypeError: a name or a value is neither bytes nor text. Nothing was added.
        """
        if other is self:
            return
        if isinstance(other, HTTPHeaderMap):
            self._fields += other._fields
            return
        pairs: Any
        if hasattr(other, "getAllRawHeaders"):
            pairs = other.getAllRawHeaders()
        else:
            pairs = other.items() if isinstance(other, Mapping) else other
        self._fields += [
            (_octets(name), _octets(value)) for name, values in pairs for value in _listed(values)
        ]


def _octets(text: Text) -> bytes:
    """:raises TypeError: it is neither bytes nor text."""
    if isinstance(text, bytes):
        return text
    if isinstance(text, str):
        return text.encode("utf-8")
    raise TypeError(f"a header's name or value is bytes or str, not {type(text).__name__}")


def _listed(values: Values) -> Iterable[Text]:
    """One value, or several."""
    if isinstance(values, bytes | str) or not isinstance(values, Iterable):
        return [values]
    return values


def _split(lower: bytes, raw: bytes) -> list[bytes]:
    """The values of one field: at least one."""
    if lower in NEVER_SPLIT:
        return [raw]
    if b"," not in raw:
        return [raw.strip(_BLANK)]
    members = _link if lower == b"link" else _member
    found = [stripped for part in members.findall(raw) if (stripped := part.strip(_BLANK))]
    return found or [b""]
