"""Tests for :mod:`txhyper.testing.forms`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txhyper.testing.forms import describeBody, printable

MULTIPART = b"multipart/form-data; boundary=cut"


def multipart(*parts: bytes) -> bytes:
    """A multipart body with the boundary ``cut``."""
    return b"".join(b"--cut\r\n" + part + b"\r\n" for part in parts) + b"--cut--\r\n"


class FormsTests(SynchronousTestCase):
    """A body is shown as what it is."""

    def test_printable(self) -> None:
        """Octets that are not UTF-8 are spelt out."""
        self.assertEqual("\u00e9\\xff", printable(b"\xc3\xa9\xff"))

    def test_text(self) -> None:
        """Text is shown as it is."""
        self.assertEqual(
            {"data": "h\u00e9", "files": {}, "form": {}, "json": None},
            describeBody("h\u00e9".encode(), b"text/plain"),
        )

    def test_octets(self) -> None:
        """What is not UTF-8 becomes a data: URL."""
        self.assertEqual(
            "data:application/octet-stream;base64,AP8=", describeBody(b"\0\xff", b"")["data"]
        )

    def test_json(self) -> None:
        """JSON is shown twice: as it came and as what it means."""
        shown = describeBody(b'{"a": [1, null]}', b"application/json")
        self.assertEqual(('{"a": [1, null]}', {"a": [1, None]}), (shown["data"], shown["json"]))

    def test_deepJson(self) -> None:
        """JSON that is nested beyond reason is no JSON."""
        self.assertIsNone(describeBody(b"[" * 200_000, b"application/json")["json"])

    def test_urlencoded(self) -> None:
        """A form's fields, each with its value, or all of them."""
        shown = describeBody(
            b"a=1&b=&a=%C3%A9&a=3", b"application/x-www-form-urlencoded; charset=utf-8"
        )
        self.assertEqual({"a": ["1", "\u00e9", "3"], "b": ""}, shown["form"])
        self.assertEqual("", shown["data"])

    def test_multipart(self) -> None:
        """Fields and files of a multipart form; binary content becomes a data: URL."""
        body = multipart(
            b'Content-Disposition: form-data; name="a"\r\n\r\none\r\ntwo',
            b"Content-Type: x/y\r\nCONTENT-DISPOSITION: form-data; name=f; filename=f\r\n\r\n\xff",
            b"\r\nno fields at all",
            b"Content-Disposition: form-data\r\n\r\nno name",
        )
        shown = describeBody(body, MULTIPART)
        self.assertEqual({"a": "one\r\ntwo"}, shown["form"])
        self.assertEqual({"f": "data:application/octet-stream;base64,/w=="}, shown["files"])
        self.assertEqual("", shown["data"])

    def test_notWhatItSays(self) -> None:
        """A form that is none is shown as plain data."""
        for contentType in (MULTIPART, b"multipart/form-data", b'multipart/form-data; boundary=""'):
            self.assertEqual("hello", describeBody(b"hello", contentType)["data"])

    @given(st.binary(max_size=200), st.sampled_from([MULTIPART, b"application/json"]))
    def test_neverFails(self, body: bytes, contentType: bytes) -> None:
        """Whatever comes is shown somehow."""
        describeBody(body, contentType)
        describeBody(multipart(body), contentType)
        describeBody(b"", body)

    @given(st.binary(max_size=200))
    def test_everyContent(self, content: bytes) -> None:
        """Whatever a part holds comes out again, unless it holds the boundary."""
        if b"\r\n--cut" in b"\r\n" + content:
            return
        body = multipart(b'Content-Disposition: form-data; name="a"\r\n\r\n' + content)
        expected = describeBody(content, b"text/plain")["data"]
        self.assertEqual({"a": expected}, describeBody(body, MULTIPART)["form"])
