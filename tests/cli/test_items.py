"""What the words of a command line ask for."""

from __future__ import annotations

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

import txhyper
from txhyper.cli.items import Items, Plan, parse_items, parse_target, plan


def headers(made: Plan) -> dict[bytes, bytes]:
    """The headers of a plan that names none of them twice."""
    assert len(dict(made.headers)) == len(made.headers)
    return dict(made.headers)


class ItemTests(SynchronousTestCase):
    """``parse_items``."""

    def test_threeKinds(self) -> None:
        """Each separator sorts an item into its own place, in the order of the command line."""
        self.assertEqual(
            Items(
                headers=[(b"X-One", b"1"), (b"x-one", b"2")],
                query=[("a", "1"), ("a", "2")],
                fields={"f": "1", "g": "2"},
            ),
            parse_items(["X-One:1", "a==1", "f=1", "x-one:2", "a==2", "g=2"]),
        )

    def test_firstSeparatorWins(self) -> None:
        """A value may hold every separator: what comes first in the item decides."""
        self.assertEqual(
            Items(
                headers=[(b"Host", b"a=b==c")],
                query=[("q", "a:b=c==d")],
                fields={"url": "http://x/?a==b", "odd": ":"},
            ),
            parse_items(["Host:a=b==c", "q==a:b=c==d", "url=http://x/?a==b", "odd=:"]),
        )

    def test_emptyValues(self) -> None:
        """A separator with nothing after it gives an empty value, and an empty header is sent."""
        self.assertEqual(
            Items(headers=[(b"Accept", b"")], query=[("q", "")], fields={"f": ""}),
            parse_items(["Accept:", "q==", "f="]),
        )

    def test_laterFieldReplacesEarlier(self) -> None:
        """A JSON object has each name once; the last word counts."""
        self.assertEqual({"a": "2"}, parse_items(["a=1", "a=2"]).fields)

    def test_headerValuesAreTrimmed(self) -> None:
        """White space around a header's value is no part of it, wherever it was typed."""
        self.assertEqual([(b"A", b"b c")], parse_items(["A: b c\t "]).headers)

    def test_headerValuesAreUTF8OrWhatWasTyped(self) -> None:
        """Text goes out as UTF-8; octets that were not UTF-8 on the command line stay as typed."""
        self.assertEqual(
            [(b"A", "ü".encode()), (b"B", b"\xff")], parse_items(["A:ü", "B:\udcff"]).headers
        )

    def test_mistakes(self) -> None:
        """A word that is no item, or that could split a header, is refused with a reason."""
        for word, reason in [
            ("word", "no item"),
            ("", "no item"),
            (":value", "no name"),
            (":authority:evil", "no name"),
            ("==value", "no name"),
            ("=value", "no name"),
            ("a b:c", "no header name"),
            ("ä:c", "no header name"),
            ("A:b\r\nEvil: 1", "line break"),
            ("A:b\nc", "line break"),
            ("A:b\0", "line break"),
            ("https://two.example/", "second URL"),
        ]:
            error = self.assertRaises(UsageError, parse_items, [word])
            self.assertIn(reason, str(error), word)


class TargetTests(SynchronousTestCase):
    """``parse_target``: URLs as people type them."""

    def assertTarget(self, url: str, origin: bytes, path: str = "/", query: str = "") -> None:
        """The URL gives this origin, path and query."""
        target = parse_target(url)
        self.assertEqual((origin, path, query), (target.origin, target.path, target.query))

    def test_bareHosts(self) -> None:
        """Without a scheme it is https; a port, a path and a query may follow."""
        self.assertTarget("example.com", b"https://example.com")
        self.assertTarget("localhost:8443/a?b=c", b"https://localhost:8443", "/a", "b=c")
        self.assertTarget("//example.com/x", b"https://example.com", "/x")
        self.assertTarget("[::1]:8443", b"https://[::1]:8443")

    def test_schemes(self) -> None:
        """http and https are kept, in small letters; the host is in small letters too."""
        self.assertTarget("http://a.b/", b"http://a.b")
        self.assertTarget("HTTPS://Example.COM:443/A", b"https://example.com:443", "/A")

    def test_fragmentIsDropped(self) -> None:
        """A fragment is the client's own business and is never sent."""
        self.assertTarget("https://h/p?q#f", b"https://h", "/p", "q")
        self.assertTarget("h#f", b"https://h")

    def test_escapes(self) -> None:
        """What a URL cannot carry is percent-encoded; what is encoded already stays as it is."""
        self.assertTarget("h/ä b/%2F%zz%", b"https://h", "/%C3%A4%20b/%2F%25zz%25")
        self.assertTarget('h/?q=ä b"%20%', b"https://h", "/", "q=%C3%A4%20b%22%20%25")
        self.assertTarget("h/\udcff", b"https://h", "/%FF")
        self.assertTarget("h/a;b=c,d@e!$&'()*+~", b"https://h", "/a;b=c,d@e!$&'()*+~")

    def test_zones(self) -> None:
        """A zone may follow an IPv6 address, with its percent sign encoded or not."""
        for zone in ("%25", "%"):
            url = f"https://[FE80::1{zone}Eth0.1]:8443/"
            self.assertTarget(url, b"https://[fe80::1%25Eth0.1]:8443")
        self.assertTarget("https://[fe80::1%25]/", b"https://[fe80::1%2525]")

    def test_hostsOutsideASCII(self) -> None:
        """Hosts go through IDNA, capital letters included."""
        self.assertTarget("https://Bücher.example/", b"https://xn--bcher-kva.example")

    def test_userNames(self) -> None:
        """A user name becomes Basic credentials and leaves the origin."""
        for url, authorization in [
            ("https://me:se%3Acret@h/", b"Basic bWU6c2U6Y3JldA=="),
            ("https://me@h/", b"Basic bWU6"),
            ("https://m%FF@h/", b"Basic bf86"),
        ]:
            target = parse_target(url)
            self.assertEqual((b"https://h", authorization), (target.origin, target.authorization))
        self.assertIsNone(parse_target("https://h/").authorization)

    def test_mistakes(self) -> None:
        """A URL that cannot be fetched is refused before anything is opened, with a reason."""
        for url, reason in [
            ("", "names no host"),
            ("https://", "names no host"),
            (":8080", "names no host"),
            ("https:///path", "names no host"),
            ("ftp://h/", "neither http nor https"),
            ("https://h:port/", "is wrong"),
            ("https://h:65536/", "is wrong"),
            ("https://[::1/", "is wrong"),
            ("https://[v1.a:b]/", "no IPv6 address"),
            ("https://[fe80:%eth0]/", "IPv6 address"),
            ("https://[::1%\u00e4]/", "no zone"),
            ("https://a b/", "no host name"),
            ("https://a..b/", "no host name"),
            ("https://a%41/", "no host name"),
            ("https://" + "a" * 64 + "/", "no host name"),
            ("https://\u2603\u200d.example/", "no host name"),
            ("https://h/\r\nEvil: 1", "control character"),
            ("https://h/\x7f", "control character"),
        ]:
            error = self.assertRaises(UsageError, parse_target, url)
            self.assertIn(reason, str(error), url)


class PlanTests(SynchronousTestCase):
    """``plan``: the whole line."""

    def test_defaults(self) -> None:
        """A URL alone is a GET that says who asks and takes every kind of answer."""
        self.assertEqual(
            Plan(
                method=b"GET",
                origin=b"https://h",
                target=b"/",
                headers=(
                    (b"user-agent", b"hyperfetch/" + txhyper.__version__.encode()),
                    (b"accept", b"*/*"),
                ),
                body=None,
            ),
            plan(["h"]),
        )

    def test_fieldsMakeAPost(self) -> None:
        """Fields become one JSON object with its content type, and the method POST."""
        made = plan(["h", "name=Hyper", "language=Pythön"])
        self.assertEqual(b"POST", made.method)
        self.assertEqual(b'{"name": "Hyper", "language": "Pyth\\u00f6n"}', made.body)
        self.assertEqual(b"application/json", headers(made)[b"content-type"])

    def test_methodIsKeptWithFields(self) -> None:
        """A method that was typed stays, with fields as well."""
        made = plan(["PUT", "h", "a=b"])
        self.assertEqual((b"PUT", b'{"a": "b"}'), (made.method, made.body))

    def test_headersReplaceDefaults(self) -> None:
        """A typed header replaces a default whatever its case; repeated ones are all kept."""
        typed = "USER-AGENT:x Accept: Content-Type:text/x authorization:t X:1 X:2"
        made = plan(["https://me@h/", "a=b", *typed.split()])
        self.assertEqual(
            (
                (b"USER-AGENT", b"x"),
                (b"Accept", b""),
                (b"Content-Type", b"text/x"),
                (b"authorization", b"t"),
                (b"X", b"1"),
                (b"X", b"2"),
            ),
            made.headers,
        )

    def test_credentialsOfTheURL(self) -> None:
        """A user name in the URL is sent as a header."""
        self.assertEqual(b"Basic bWU6", headers(plan(["https://me@h/"]))[b"authorization"])

    def test_queryItems(self) -> None:
        """Query items are encoded as forms are, and follow the query that the URL has."""
        for words, target in [
            (["h/p", "q==a b&c", "ü==1"], b"/p?q=a+b%26c&%C3%BC=1"),
            (["h/p?x=1", "q==2"], b"/p?x=1&q=2"),
            (["h/p?x=1"], b"/p?x=1"),
            (["h", "q==\udcff"], b"/?q=%FF"),
        ]:
            self.assertEqual(target, plan(words).target)

    def test_methods(self) -> None:
        """
        Common methods in any case, and others in capitals or before a URL, are methods; other
        words are hosts.
        """
        for words, method, origin in [
            (["GET", "localhost:80"], b"GET", b"https://localhost:80"),
            (["get", "localhost:80"], b"GET", b"https://localhost:80"),
            (["M-SEARCH", "localhost:80"], b"M-SEARCH", b"https://localhost:80"),
            (["Purge", "http://h/"], b"Purge", b"http://h"),
            (["purge", "h"], b"purge", b"https://h"),
            (["localhost", "a==b"], b"GET", b"https://localhost"),
            (["localhost", "a=b"], b"POST", b"https://localhost"),
            (["get"], b"GET", b"https://get"),
            (["example.com", "a:b"], b"GET", b"https://example.com"),
        ]:
            made = plan(words)
            self.assertEqual((method, origin), (made.method, made.origin), words)

    def test_mistakes(self) -> None:
        """A line without a URL, or with a word too many, is refused with a reason."""
        for words, reason in [
            ([], "the URL is missing"),
            (["GET"], "the URL after GET is missing"),
            (["example.com", "other.example"], "no item"),
            (["GET", "h", "https://two.example/"], "second URL"),
        ]:
            error = self.assertRaises(UsageError, plan, words)
            self.assertIn(reason, str(error))

    def test_demo(self) -> None:
        """With a demo server the word is a path; its origin is known only when it listens."""
        for words, method, target in [
            (["/get"], b"GET", b"/get"),
            (["get"], b"GET", b"/get"),
            (["POST", "/post?a=b", "c==d"], b"POST", b"/post?a=b&c=d"),
            (["Purge", "/anything?a=b"], b"Purge", b"/anything?a=b"),
            (["/a:b"], b"GET", b"/a:b"),
            (["//x"], b"GET", b"//x"),
        ]:
            made = plan(words, demo=True)
            self.assertEqual((method, None, target), (made.method, made.origin, made.target))

    def test_demoMistakes(self) -> None:
        """With a demo server a URL is refused, and a missing path is called a path."""
        for words, reason in [([], "the PATH is missing"), (["https://h/"], "give a path")]:
            error = self.assertRaises(UsageError, plan, words, demo=True)
            self.assertIn(reason, str(error))
