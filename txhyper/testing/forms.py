"""
What a request's body holds, shown as JSON.

Owns the reading of forms and the spelling of octets that are no text. It never fails: a body that
is not what its content type says is shown as plain data. :mod:`txhyper.testing.endpoints` calls it.
"""

from __future__ import annotations

import json
from base64 import b64encode
from email.message import Message
from urllib.parse import parse_qsl

__all__ = ["describeBody", "printable"]


def printable(octets: bytes) -> str:
    """Octets as text; those that are not UTF-8 are spelt ``\\xNN``."""
    return octets.decode("utf-8", "backslashreplace")


def _shown(octets: bytes) -> str:
    """A body as text, or as a ``data:`` URL when it is not UTF-8."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return "data:application/octet-stream;base64," + b64encode(octets).decode("ascii")


def _parsed(text: bytes) -> object:
    """The value that JSON text stands for, or None when it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _put(table: dict[str, str | list[str]], name: str, value: str) -> None:
    """Note a value; several of one name become a list."""
    known = table.get(name)
    if known is None:
        table[name] = value
    elif isinstance(known, list):
        known.append(value)
    else:
        table[name] = [known, value]


def _header(value: bytes) -> Message:
    """A structured field, for its parameters."""
    message = Message()
    message["content-type"] = printable(value).replace("\r", "").replace("\n", "")
    return message


def _parts(body: bytes, boundary: bytes) -> list[tuple[bytes, bytes]]:
    """Cut a multipart body (RFC 2046 section 5.1.1) into each part's fields and content."""
    parts = []
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary)[1:]:
        if part.startswith(b"--"):
            break
        # A boundary's line ends first; a part without fields begins with the empty line.
        fields, _, content = part.partition(b"\r\n\r\n")
        parts.append((fields, content))
    return parts


def _disposition(fields: bytes) -> tuple[str | None, str | None]:
    """The name and the file name that a part of a form has."""
    for line in fields.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            parameters = dict(_header(value).get_params([]))
            return parameters.get("name"), parameters.get("filename")
    return None, None


def describeBody(body: bytes, contentType: bytes) -> dict[str, object]:
    """
    Take a body apart.

    :return: ``data``, the body as text unless it is a form; ``form`` and ``files``, what is in a
        form; ``json``, the value when the body is JSON.
    """
    form: dict[str, str | list[str]] = {}
    files: dict[str, str | list[str]] = {}
    header = _header(contentType)
    kind = header.get_content_type()
    boundary = header.get_param("boundary")
    isForm = False
    if kind == "application/x-www-form-urlencoded":
        isForm = True
        for name, value in parse_qsl(printable(body), keep_blank_values=True):
            _put(form, name, value)
    elif kind == "multipart/form-data" and isinstance(boundary, str) and boundary:
        for fields, content in _parts(body, boundary.encode("utf-8")):
            field, filename = _disposition(fields)
            if field is not None:
                isForm = True
                _put(form if filename is None else files, field, _shown(content))
    return {
        "data": "" if isForm else _shown(body),
        "files": files,
        "form": form,
        "json": None if isForm else _parsed(body),
    }
