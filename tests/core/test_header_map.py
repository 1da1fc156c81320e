"""Tests for :mod:`txhyper.core.header_map`."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from tests.core.wire import law
from txhyper import HTTPHeaderMap
from txhyper.core.header_map import NEVER_SPLIT

Pairs = list[tuple[bytes, bytes]]

names = st.sampled_from(
    [b"accept", b"Accept", b"VARY", b"link", b"Set-Cookie", b"set-cookie", b"Date", b"x"]
)
#: Values full of what splitting has to look at.
values = st.text(alphabet=' \t,,,"\\<>=ab', max_size=12).map(str.encode) | st.binary(max_size=6)
fields = st.lists(st.tuples(names, values), max_size=6)


def taken_apart(name: bytes, value: bytes) -> list[bytes]:
    """The values of one field, by a reading of the documentation that goes octet by octet."""
    if name.lower() in NEVER_SPLIT:
        return [value]
    parts, part, until, escaped = [], b"", b"", False
    for octet in (value[at : at + 1] for at in range(len(value))):
        if until:
            if not escaped and octet == until:
                until = b""
            escaped = until == b'"' and octet == b"\\" and not escaped
        elif octet == b'"':
            until = octet
        elif octet == b"<" and name.lower() == b"link":
            until = b">"
        elif octet == b",":
            parts.append(part)
            part = b""
            continue
        part += octet
    stripped = [each.strip(b" \t") for each in [*parts, part]]
    return [each for each in stripped if each] or [b""]


class ReadingTests(SynchronousTestCase):
    """What is asked of a map (hyper's documentation, Headers)."""

    def setUp(self) -> None:
        self.map = HTTPHeaderMap(
            [("Server", "h2o"), (b"Accept", b"a, b"), ("set-cookie", "x=1, y=2"), ("accept", "c")]
        )

    def test_item(self) -> None:
        """A name in any case, as text or as bytes, has a list of all its values."""
        for name in ("accept", "ACCEPT", b"Accept"):
            self.assertEqual([b"a", b"b", b"c"], self.map[name])
        self.assertRaises(KeyError, lambda: self.map["missing"])

    def test_get(self) -> None:
        """``get`` has the same list, and the default where there is nothing."""
        self.assertEqual([b"h2o"], self.map.get("SERVER"))
        self.assertEqual([b"h2o"], self.map.get(b"server", None))
        self.assertIsNone(self.map.get("missing"))
        self.assertEqual("nothing", self.map.get("missing", "nothing"))

    def test_contains(self) -> None:
        """Whether there is such a field; one without a value is one."""
        self.assertIn("SERVER", self.map)
        self.assertIn(b"set-cookie", self.map)
        self.assertNotIn("missing", self.map)
        self.assertIn("x", HTTPHeaderMap(x=""))
        self.assertEqual([b""], HTTPHeaderMap(x="")["x"])

    def test_iteration(self) -> None:
        """One pair for each value, names in lower case; a cookie stays whole."""
        pairs = [
            (b"server", b"h2o"),
            (b"accept", b"a"),
            (b"accept", b"b"),
            (b"set-cookie", b"x=1, y=2"),
            (b"accept", b"c"),
        ]
        self.assertEqual(pairs, list(self.map))
        self.assertEqual(pairs, list(self.map.items()))
        self.assertEqual([name for name, _ in pairs], list(self.map.keys()))
        self.assertEqual([value for _, value in pairs], list(self.map.values()))
        self.assertEqual(5, len(self.map))

    def test_raw(self) -> None:
        """What was added can be had again as it was."""
        self.assertEqual(
            [
                (b"Server", b"h2o"),
                (b"Accept", b"a, b"),
                (b"set-cookie", b"x=1, y=2"),
                (b"accept", b"c"),
            ],
            list(self.map.iter_raw()),
        )

    def test_empty(self) -> None:
        """A map without fields is false, as an empty list is."""
        self.assertFalse(HTTPHeaderMap())
        self.assertEqual([], list(HTTPHeaderMap()))
        self.assertTrue(self.map)

    def test_repr(self) -> None:
        """It shows the fields in order, and of secrets the lengths alone."""
        shown = HTTPHeaderMap([("server", "h2o"), ("Authorization", "Basic c2VjcmV0")])
        self.assertEqual(
            "HTTPHeaderMap([(b'server', b'h2o'), (b'Authorization', <14 octets>)])", repr(shown)
        )
        self.assertEqual(repr(shown), str(shown))
        self.assertEqual("HTTPHeaderMap([])", repr(HTTPHeaderMap()))

    def test_equality(self) -> None:
        """Two ways to write the same are equal; another order, or another thing, is not."""
        same = HTTPHeaderMap([("ACCEPT", "a,,b"), ("accept", " c")])
        self.assertEqual(HTTPHeaderMap([("accept", "a"), ("Accept", "b,c")]), same)
        self.assertNotEqual(HTTPHeaderMap(accept="b, a, c"), same)
        self.assertNotEqual(list(same), same)
        self.assertRaises(TypeError, hash, same)

    def test_not_a_name(self) -> None:
        """A number is no name, and the error says so."""
        for ask in (self.map.get, self.map.__contains__, self.map.__delitem__):
            error = self.assertRaises(TypeError, ask, 5)
            self.assertIn("bytes or str, not int", str(error))


class SplittingTests(SynchronousTestCase):
    """Where a comma separates values."""

    def assertSplit(self, name: str, value: bytes, *expected: bytes) -> None:
        """A field of one name has these values."""
        self.assertEqual(list(expected), HTTPHeaderMap([(name, value)])[name])

    def test_lists(self) -> None:
        """At each comma, without blanks and empty members (RFC 9110 section 5.6.1)."""
        self.assertSplit("vary", b"a, b\t,c", b"a", b"b", b"c")
        self.assertSplit("vary", b" , a,, b ,", b"a", b"b")
        self.assertSplit("vary", b" , ,", b"")
        self.assertSplit("vary", b"  a ", b"a")

    def test_quoted_strings(self) -> None:
        """Not in a quoted string, whatever is escaped in it (RFC 9110 section 5.6.4)."""
        self.assertSplit("x", b'a="1, 2", b', b'a="1, 2"', b"b")
        self.assertSplit("x", rb'"a\", b", c', rb'"a\", b"', b"c")
        self.assertSplit("x", rb'"a\\", c', rb'"a\\"', b"c")
        self.assertSplit("x", b'W/"a,b","c"', b'W/"a,b"', b'"c"')
        self.assertSplit("x", b'a, "b, c', b"a", b'"b, c')
        self.assertSplit("x", b'"b, c\\', b'"b, c\\')

    def test_link(self) -> None:
        """Not in the URI of a Link (RFC 8288 section 3); brackets elsewhere mean nothing."""
        value = b'<https://a.test/?x=1,2>; rel="next, last", </b>'
        self.assertSplit("Link", value, b'<https://a.test/?x=1,2>; rel="next, last"', b"</b>")
        self.assertSplit("x", b"a<b, c>d", b"a<b", b"c>d")
        self.assertSplit("link", b"<a, b", b"<a, b")

    def test_not_at_all(self) -> None:
        """Not in a field that is no list, be its name in any case."""
        for name, value in [
            ("Set-Cookie", b"a=1, 2; Expires=Sun, 06 Nov 1994 08:49:37 GMT"),
            ("Date", b"Sun, 06 Nov 1994 08:49:37 GMT"),
            ("User-Agent", b"a (KHTML, like Gecko)"),
            ("WWW-Authenticate", b'Digest realm="a", nonce="b"'),
            ("Location", b"/a,b"),
            ("Report-To", b'{"group":"a","max_age":1}'),
        ]:
            self.assertSplit(name, value, value)

    def test_takes_linear_time(self) -> None:
        """A value of a server's is read once: quotes that are never closed cost nothing more."""
        for value in (b'"\\' * 100000 + b",", b'",' * 99999, b"<," * 100000):
            parts = HTTPHeaderMap([("link", value)])["link"]
            self.assertEqual(value.count(b","), b",".join(parts).count(b","))


class ChangingTests(SynchronousTestCase):
    """What is done to a map."""

    def test_setting_adds(self) -> None:
        """As hyper's does: what is there stays, and the new field comes last."""
        headers = HTTPHeaderMap([("a", "1"), ("b", "2")])
        headers["A"] = "3"
        self.assertEqual([(b"a", b"1"), (b"b", b"2"), (b"A", b"3")], list(headers.iter_raw()))
        self.assertEqual([b"1", b"3"], headers["a"])

    def test_text_is_utf8(self) -> None:
        """Text goes in, octets come out."""
        headers = HTTPHeaderMap()
        headers["x"] = "b\xfccher"
        self.assertEqual([b"b\xc3\xbccher"], headers["x"])

    def test_delete(self) -> None:
        """All fields of a name go; one that is not there is a KeyError."""
        headers = HTTPHeaderMap([("a", "1"), ("b", "2"), ("A", "3")])
        del headers[b"a"]
        self.assertEqual([(b"b", b"2")], list(headers))
        self.assertRaises(KeyError, headers.__delitem__, "a")

    def test_replace(self) -> None:
        """The new value stands where the first one stood, or at the end."""
        headers = HTTPHeaderMap([("a", "1"), ("b", "2"), ("A", "3")])
        headers.replace("A", "4")
        self.assertEqual([(b"A", b"4"), (b"b", b"2")], list(headers.iter_raw()))
        headers.replace("c", "5")
        self.assertEqual([(b"a", b"4"), (b"b", b"2"), (b"c", b"5")], list(headers))

    def test_merge(self) -> None:
        """Another map's fields come raw and in order; nothing that was there goes."""
        headers = HTTPHeaderMap(a="1")
        other = HTTPHeaderMap([("A", "2, 3"), ("b", "4")])
        headers.merge(other)
        self.assertEqual([(b"a", b"1"), (b"A", b"2, 3"), (b"b", b"4")], list(headers.iter_raw()))
        headers.merge(headers)
        self.assertEqual(4, len(headers))
        del headers["a"]
        self.assertEqual([b"2", b"3"], other["a"])

    def test_where_fields_come_from(self) -> None:
        """Pairs, dictionaries and maps, with one value or many, and names as keywords."""
        expected = [(b"a", b"1"), (b"a", b"2"), (b"b", b"3")]
        sources: list[Any] = [
            [("a", "1"), ("a", "2"), ("b", "3")],
            [("a", ["1", b"2"]), (b"b", "3")],
            {"a": ("1", "2"), "b": "3"},
            {b"a": iter([b"1", b"2"]), b"b": b"3"},
            HTTPHeaderMap([("a", "1"), ("a", "2"), ("b", "3")]),
        ]
        for source in sources:
            self.assertEqual(expected, list(HTTPHeaderMap(source).iter_raw()))
        self.assertEqual(expected, list(HTTPHeaderMap({"a": "1"}, [("a", "2")], b="3").iter_raw()))

    def test_what_is_no_value(self) -> None:
        """A number is no value; a merge that meets one adds nothing."""
        headers = HTTPHeaderMap(a="1")
        source: Any = [("b", "2"), ("c", 3)]
        error = self.assertRaises(TypeError, headers.merge, source)
        self.assertIn("bytes or str, not int", str(error))
        self.assertRaises(TypeError, headers.__setitem__, "b", None)
        self.assertRaises(TypeError, headers.replace, "a", 1.5)
        self.assertEqual([(b"a", b"1")], list(headers))


class HeadersTests(SynchronousTestCase):
    """The way from Twisted's Headers and back."""

    def test_there_and_back(self) -> None:
        """Every name keeps its values, in their order."""
        headers = Headers({b"Accept": [b"a, b", b"c"], b"X-Id": [b"1"]})
        made = HTTPHeaderMap(headers)
        self.assertEqual(made, HTTPHeaderMap(headers.getAllRawHeaders()))
        self.assertEqual([b"a", b"b", b"c"], made["accept"])
        self.assertEqual(headers, Headers(made.raw_lists()))

    def test_gathered(self) -> None:
        """Fields of one name come together, in whatever case they were given."""
        made = HTTPHeaderMap([("A", "1, 2"), ("b", "3"), ("a", "4")])
        self.assertEqual({b"a": [b"1, 2", b"4"], b"b": [b"3"]}, made.raw_lists())


class LawTests(SynchronousTestCase):
    """What holds for every map."""

    @law
    @given(fields)
    def test_raw_round_trip(self, given_: Pairs) -> None:
        """The fields come out as they went in, and a map made of them is the same map."""
        headers = HTTPHeaderMap(given_)
        self.assertEqual(given_, list(headers.iter_raw()))
        self.assertEqual(headers, HTTPHeaderMap(headers.iter_raw()))

    @law
    @given(fields)
    def test_canonical(self, given_: Pairs) -> None:
        """The order is kept, and each field is taken apart as the documentation says."""
        headers = HTTPHeaderMap(given_)
        expected = [(n.lower(), part) for n, v in given_ for part in taken_apart(n, v)]
        self.assertEqual(expected, list(headers))

    @law
    @given(fields)
    def test_all_ways_to_look(self, given_: Pairs) -> None:
        """Length, iteration, look-up and containment tell the same story."""
        headers = HTTPHeaderMap(given_)
        pairs = list(headers)
        self.assertEqual(len(pairs), len(headers))
        self.assertGreaterEqual(len(headers), len(given_))
        self.assertEqual(pairs, list(zip(headers.keys(), headers.values(), strict=True)))
        for name in (b"accept", b"vary", b"link", b"set-cookie", b"date", b"x"):
            values = [value for known, value in pairs if known == name]
            self.assertEqual(values or None, headers.get(name))
            self.assertEqual(values or None, headers.get(name.decode().upper()))
            self.assertEqual(bool(values), name in headers)

    @law
    @given(fields)
    def test_case(self, given_: Pairs) -> None:
        """The case of names makes no difference."""
        upper = HTTPHeaderMap((name.upper(), value) for name, value in given_)
        self.assertEqual(HTTPHeaderMap(given_), upper)

    @law
    @given(fields)
    def test_stable(self, given_: Pairs) -> None:
        """What is canonical is so for good: a value that was taken apart is not again."""
        headers = HTTPHeaderMap(given_)
        self.assertEqual(headers, HTTPHeaderMap(list(headers)))

    @law
    @given(st.lists(values))
    def test_cookies_are_whole(self, cookies: list[bytes]) -> None:
        """Nothing is done to a cookie."""
        headers = HTTPHeaderMap({"Set-Cookie": cookies})
        self.assertEqual(cookies or None, headers.get("set-cookie"))

    @law
    @given(fields, fields, fields)
    def test_merging(self, first: Pairs, second: Pairs, third: Pairs) -> None:
        """Merging is associative, and an empty map changes nothing."""
        left = HTTPHeaderMap(first, second)
        left.merge(HTTPHeaderMap(third))
        right = HTTPHeaderMap(second)
        right.merge(HTTPHeaderMap(third))
        whole = HTTPHeaderMap(first)
        whole.merge(right)
        self.assertEqual(list(left.iter_raw()), list(whole.iter_raw()))
        whole.merge(HTTPHeaderMap())
        self.assertEqual(left, whole)

    @law
    @given(fields, names, values)
    def test_replacing(self, given_: Pairs, name: bytes, value: bytes) -> None:
        """One field of the name is left, and the others stay as they were."""
        headers = HTTPHeaderMap(given_)
        headers.replace(name, value)
        self.assertEqual(HTTPHeaderMap([(name, value)])[name], headers[name])
        del headers[name]
        others = [field for field in given_ if field[0].lower() != name.lower()]
        self.assertEqual(others, list(headers.iter_raw()))
