"""
A header list as it was decoded, on its way to be judged.

Owns the marks by which a list of good fields is known to be good without reading it again: each
field says what it adds when it enters the compression table, and the sum over a block says whether
there is anything to look at. :mod:`txhyper.core.headers` has the rules, and reads a list whose
marks are not those of a plain one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from txhyper.core.headers import (
    FORBIDDEN,
    NO_LENGTH,
    SENSITIVE,
    Field,
    ResponseHead,
    is_number,
    is_value,
    parse_response,
    parse_trailers,
)

__all__ = ["HeaderBlock", "mark"]

# A name of a peer that is neither a pseudo-header field nor in upper case, and a final or
# informational status that HTTP/2 has.
_plain_name = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_status = re.compile(rb"(?!101)[1-9][0-9]{2}").fullmatch

# What a field says about the list it stands in. The marks of a list are added up, so each has room
# for as many fields as a list can hold: a field counts 32 octets of a size below 2^28.
GOOD_STATUS = 1
GOOD_LENGTH = 1 << 24
SUSPECT = 1 << 48
SECRET = 1 << 72

#: Names that mean more than themselves.
_notable = {
    b":status": GOOD_STATUS,
    b"content-length": GOOD_LENGTH,
    b"te": SUSPECT,
    **dict.fromkeys(FORBIDDEN, SUSPECT),
    **dict.fromkeys(SENSITIVE, SECRET),
}


class HeaderBlock:
    """
    A header list of the peer's, decoded and not judged yet.

    Shared by all blocks of the same octets: treat it as immutable.

    :ivar fields: as they came, pseudo-header fields first or where they stand.
    :ivar secret: whether a field came that must not be remembered.
    """

    __slots__ = ("_head", "_marks", "fields", "secret")

    def __init__(self, fields: Sequence[Field], marks: int, secret: bool) -> None:
        """:param marks: the sum of :func:`mark` over all fields."""
        self.fields = fields
        self._marks = marks
        self.secret = secret or marks >= SECRET
        self._head: ResponseHead | None = None

    def response(self) -> ResponseHead:
        """
        The list as a response's head; the same one each time.

        :raises MalformedHead: it breaks RFC 9113 section 8.1.1; the text says how.
        """
        if self._head is None:
            marks = self._marks & (SECRET - 1)
            if (
                marks in (GOOD_STATUS, GOOD_STATUS + GOOD_LENGTH)
                and self.fields[0][0] == b":status"
            ):
                length = NO_LENGTH
                if marks != GOOD_STATUS:
                    length = int(dict(self.fields)[b"content-length"])
                self._head = ResponseHead(int(self.fields[0][1]), self.fields[1:], length)
            else:
                # Something is wrong, or at least unusual: read it slowly, to say what.
                self._head = parse_response(self.fields)
        return self._head

    def trailers(self) -> Sequence[Field]:
        """
        The list as a trailer section.

        :raises MalformedHead: it has a pseudo-header field or breaks a rule of all fields.
        """
        return parse_trailers(self.fields)


def mark(name: bytes, value: bytes) -> int:
    """
    What a field adds to its list's marks: nothing if it is plain and valid.

    A list whose marks are those of one ``:status``, and of one content-length at the most, is
    valid if it begins with the ``:status``. :func:`parse_response` judges every other one.
    """
    kind = _notable.get(name)
    if kind is None:
        return 0 if _plain_name(name) and is_value(value) else SUSPECT
    if kind == GOOD_STATUS:
        return GOOD_STATUS if _status(value) else SUSPECT
    if kind == GOOD_LENGTH:
        return GOOD_LENGTH if is_number(value) else SUSPECT
    if kind == SECRET and is_value(value):
        return SECRET
    return SUSPECT
