"""Tests for :mod:`txhyper.core.headers`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from h2.exceptions import ProtocolError
from h2.utilities import HeaderValidationFlags, validate_headers
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from tests.core.wire import Fields, law
from txhyper.core import headers
from txhyper.core.headers import NO_LENGTH, MalformedHead
from txhyper.errors import Initiator, InvalidRequest

#: Octets that a field name of a peer may not have (RFC 9113 section 8.2.1).
BAD_IN_NAMES = [*range(0x21), *range(0x41, 0x5B), *range(0x7F, 0x100)]
#: Octets that no value may have.
BAD_IN_VALUES = [0x00, 0x0A, 0x0D]

OK = (b":status", b"200")

#: A field name of a peer.
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch


class RequestCase(SynchronousTestCase):
    """What a caller gives."""

    def assertRefused(self, text: str, call: Callable[..., Any], *args: Any) -> None:
        """The call fails as the caller's own mistake, and says which."""
        error = self.assertRaises(InvalidRequest, call, *args)
        self.assertIn(text, str(error))
        self.assertIs(Initiator.USER, error.initiator)
        self.assertEqual(1, len(str(error).splitlines()))

    def fields(self, *given: tuple[bytes, bytes], length: int | None = None) -> Any:
        """The fields of a POST."""
        each = [(name, [value]) for name, value in given]
        return headers.request_fields(b"POST", b"a.test", each, length)


class RequestLineTests(RequestCase):
    """The method and the target."""

    def test_methods(self) -> None:
        """Any token is a method, whatever its case."""
        for method in (b"GET", b"QUERY", b"x!#$%&'*+-.^_`|~9"):
            self.assertEqual(method, headers.check_method(method))

    def test_no_methods(self) -> None:
        """What is no token is refused: such a method could split a request in two."""
        for method in (b"", b"GE T", b"GET\r\n", b"GET\n", b"G\0", b"G:", b"GET\xff", b"(GET)"):
            self.assertRefused("is not a token", headers.check_method, method)

    def test_targets(self) -> None:
        """Printable ASCII is a target."""
        for target in (b"/", b"*", b"/a?b=c&d=%20#x", b"https://a.test:1/~"):
            self.assertEqual(target, headers.check_target(target))

    def test_no_targets(self) -> None:
        """White space, control characters and octets above ASCII have to be escaped before."""
        for target in (b"", b"/a b", b"/\r\nx: y", b"/a\n", b"/\0", b"/\x7f", b"/\xc3\xa9"):
            self.assertRefused("is not printable ASCII", headers.check_target, target)


class RequestFieldsTests(RequestCase):
    """The regular fields of a request, in the order of the caller."""

    def test_lower_case(self) -> None:
        """Names go out in lower case (section 8.2.1), values as they are, each on its own."""
        given = [(b"Accept", [b"A", b"b"]), (b"X-Y", [b""]), (b"cookie", [b"a=1; b=2"])]
        self.assertEqual(
            (
                b"a.test",
                [(b"accept", b"A"), (b"accept", b"b"), (b"x-y", b""), (b"cookie", b"a=1; b=2")],
            ),
            headers.request_fields(b"GET", b"a.test", given, None),
        )

    def test_bad_names(self) -> None:
        """A name is a token: no octet outside, no colon anywhere, not nothing."""
        for name in (b"", b"a b", b"a\r\nb", b"a\n", b":path", b"a:", b"a\0", b"\xe9", b"a\x7f"):
            self.assertRefused("is not a token", self.fields, (name, b"x"))

    def test_bad_values(self) -> None:
        """CR, LF and NUL are refused wherever they stand: they would split the request."""
        for octet in BAD_IN_VALUES:
            for value in (b"%c", b"a%c", b"%ca", b"a%cb"):
                self.assertRefused("the value of a,", self.fields, (b"a", value % octet))

    def test_surrounding_space(self) -> None:
        """White space around a value is refused (section 8.2.1), inside it is not."""
        for value in (b" ", b"\t", b" a", b"a ", b"\ta", b"a\t"):
            self.assertRefused("white space", self.fields, (b"a", value))
        for value in (b"a b", b"a \t b", b"\x7f\x80\xff\x01"):
            self.assertEqual((b"a.test", [(b"a", value)]), self.fields((b"a", value)))

    def test_names_without_values(self) -> None:
        """A name without a value is sent as nothing, but it is checked all the same."""
        empty: list[tuple[bytes, list[bytes]]] = [(b"a b", [])]
        self.assertRefused("token", headers.request_fields, b"GET", b"a.test", empty, None)

    def test_host(self) -> None:
        """A Host field becomes the authority and is no field any more (section 8.3.1)."""
        self.assertEqual((b"b.test:8080", []), self.fields((b"Host", b"b.test:8080")))

    def test_bad_hosts(self) -> None:
        """There is one Host, and it is a place that can be named."""
        two = [(b"host", [b"a.test", b"b.test"])]
        self.assertRefused(
            "more than one Host", headers.request_fields, b"GET", b"a.test", two, None
        )
        for host in (b"", b"a b", b"\xe9.test"):
            self.assertRefused("the Host", self.fields, (b"host", host))

    def test_content_length(self) -> None:
        """A known length is said, once, and one that was said already is left where it stands."""
        length = (b"content-length", b"3")
        self.assertEqual([length], self.fields(length=3)[1])
        self.assertEqual([length, (b"a", b"b")], self.fields(length, (b"a", b"b"), length=3)[1])
        self.assertEqual([length], self.fields(length)[1])
        self.assertEqual([(b"content-length", b"0")], self.fields(length=0)[1])
        self.assertEqual([], self.fields()[1])

    def test_bad_content_length(self) -> None:
        """No signs, no lists, no second one, and no lie (RFC 9110 section 8.6)."""
        for value in (b"+3", b"-3", b"3, 3", b"0x3", b"", b"\xb2", b"1" * 20):
            self.assertRefused("is not a number", self.fields, (b"content-length", value))
        self.assertRefused(
            "more than one content-length",
            self.fields,
            (b"content-length", b"3"),
            (b"Content-Length", b"3"),
        )
        with self.assertRaises(InvalidRequest) as caught:
            self.fields((b"content-length", b"4"), length=3)
        self.assertEqual(
            "content-length: 4 for a POST body of 3 octets (RFC 9113 section 8.1.1)",
            str(caught.exception),
        )

    @law
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([b"a", b"X-Y", b"te", b"host", b"Cookie"]) | st.binary(max_size=3),
                st.sampled_from([b"x", b"trailers", b"a.test", b""]) | st.binary(max_size=3),
            ),
            max_size=4,
        )
    )
    def test_h2_accepts(self, given: list[tuple[bytes, bytes]]) -> None:
        """What passes here passes with h2's rules for requests too."""
        try:
            authority, fields = self.fields(*given)
            headers.check_http2(fields)
        except InvalidRequest:
            return
        first = headers.pseudo_fields(b"POST", b"https", authority, b"/")
        flags = HeaderValidationFlags(True, False, False, False)
        self.assertEqual(
            len(first) + len(fields), len(list(validate_headers(first + fields, flags)))
        )


class ConnectionFieldsTests(RequestCase):
    """What HTTP/1.1 allows and HTTP/2 does not (section 8.2.2)."""

    def test_connection_fields(self) -> None:
        """A field that speaks of the connection is refused."""
        for name in (
            b"connection",
            b"keep-alive",
            b"proxy-connection",
            b"transfer-encoding",
            b"upgrade",
        ):
            self.assertRefused(
                f"the field {name.decode()} speaks of the connection",
                headers.check_http2,
                [(b"a", b"b"), (name, b"x")],
            )

    def test_te(self) -> None:
        """TE says trailers or nothing."""
        headers.check_http2([(b"te", b"trailers"), (b"te", b"Trailers"), (b"x", b"gzip")])
        self.assertRefused("te: b'gzip'", headers.check_http2, [(b"te", b"gzip")])


class RequestTrailersTests(RequestCase):
    """The trailer section of a request."""

    def test_lower_case(self) -> None:
        """Names go out in lower case, each value on its own."""
        self.assertEqual(
            [(b"x-sum", b"1"), (b"x-sum", b"2")],
            headers.trailer_fields([(b"X-Sum", [b"1", b"2"])]),
        )

    def test_refused(self) -> None:
        """What the head must say is no trailer, and the rules of fields hold."""
        names = [*sorted(headers.FORBIDDEN), b"Content-Length", b"host", b"TE"]
        for name in names:
            self.assertRefused("is no trailer", headers.trailer_fields, [(name, [b"x"])])
        self.assertRefused("is not a token", headers.trailer_fields, [(b":path", [b"/"])])
        self.assertRefused("the value of a,", headers.trailer_fields, [(b"a", [b"x\r\ny"])])


class SizeTests(SynchronousTestCase):
    """The pseudo-header fields, and the size of a header list."""

    def test_pseudo_fields(self) -> None:
        """Four, but for CONNECT (section 8.5)."""
        self.assertEqual(
            [(b":method", b"GET"), (b":scheme", b"s"), (b":authority", b"a"), (b":path", b"/")],
            headers.pseudo_fields(b"GET", b"s", b"a", b"/"),
        )
        self.assertEqual(
            [(b":method", b"CONNECT"), (b":authority", b"a:1")],
            headers.pseudo_fields(b"CONNECT", b"s", b"a:1", b"/"),
        )

    def test_list_size(self) -> None:
        """32 octets on top for each field (section 6.5.2)."""
        self.assertEqual(0, headers.list_size([]))
        self.assertEqual(32 + 3 + 32 + 5, headers.list_size([(b"a", b"bc"), (b"defgh", b"")]))


class ResponseCase(SynchronousTestCase):
    """What a peer sends."""

    def assertMalformed(self, text: str, fields: Fields) -> None:
        """The response is refused, and the reason named in one line."""
        error = self.assertRaises(MalformedHead, headers.parse_response, fields)
        self.assertIn(text, str(error))
        self.assertEqual(1, len(str(error).splitlines()))

    def assertMalformedField(self, text: str, name: bytes, value: bytes) -> None:
        """The field is refused in a head and in trailers, alone, first, between and last."""
        bad, good = (name, value), (b"good", b"value")
        for fields in ([bad], [bad, good], [good, bad, good], [good, bad]):
            self.assertMalformed(text, [OK, *fields])
            error = self.assertRaises(MalformedHead, headers.parse_trailers, fields)
            self.assertIn(text, str(error))


class ResponseTests(ResponseCase):
    """A response's head (section 8.3.2)."""

    def test_parts(self) -> None:
        """Status and fields come apart; the fields keep their order and their repeats."""
        fields = [OK, (b"set-cookie", b"a"), (b"x", b""), (b"set-cookie", b"b")]
        head = headers.parse_response(fields)
        self.assertEqual(200, head.status)
        self.assertEqual(fields[1:], list(head.fields))
        self.assertEqual(NO_LENGTH, head.content_length)

    def test_status_alone(self) -> None:
        """A status is enough."""
        head = headers.parse_response([(b":status", b"599")])
        self.assertEqual((599, []), (head.status, list(head.fields)))

    def test_no_status(self) -> None:
        """Without :status in its place there is no response."""
        for fields in ([], [(b"a", b"b")], [(b"a", b"b"), OK], [(b":path", b"/"), OK]):
            self.assertMalformed("the first field is not :status", fields)

    def test_bad_status(self) -> None:
        """The status is three digits, and the first is not 0."""
        for status in (
            b"",
            b"20",
            b"2000",
            b"2 0",
            b"+20",
            b"abc",
            b"\xb2\xb2\xb2",
            b"099",
            b"20\n",
        ):
            self.assertMalformed("is not three digits", [(b":status", status)])

    def test_switching_protocols(self) -> None:
        """101 does not exist in HTTP/2 (section 8.6)."""
        self.assertMalformed("101", [(b":status", b"101")])

    def test_other_pseudo_fields(self) -> None:
        """No other pseudo-header field, no second :status, none after a regular field."""
        for name in (b":status", b":path", b":method", b":unknown", b":"):
            self.assertMalformedField("pseudo-header field", name, b"200")

    def test_bad_names(self) -> None:
        """Every octet that section 8.2.1 forbids is found, wherever it stands in a name."""
        for octet in BAD_IN_NAMES:
            for name in (b"%c", b"a%c", b"%ca", b"a%cb"):
                self.assertMalformedField("the field name", name % octet, b"x")
        for name in (b"", b"a:", b"a:b"):
            self.assertMalformedField("the field name", name, b"x")

    def test_names_are_tokens(self) -> None:
        """
        A name is a token in lower case (RFC 9110 section 5.1), and every one that passes can be
        put into Twisted's Headers, which users look at.
        """
        for octet in range(256):
            fields = [OK, (b"a%cb" % octet, b"x")]
            if TOKEN(b"%c" % octet):
                name, value = headers.parse_response(fields).fields[0]
                Headers().addRawHeader(name, value)
            else:
                self.assertRaises(MalformedHead, headers.parse_response, fields)

    def test_bad_values(self) -> None:
        """NUL, CR and LF are found wherever they stand, and so is surrounding white space."""
        for octet in BAD_IN_VALUES:
            for value in (b"%c", b"a%c", b"%ca", b"a%cb"):
                self.assertMalformedField("the value of b'x'", b"x", value % octet)
        for value in (b" ", b"\t", b" a", b"a ", b"\ta", b"a\t"):
            self.assertMalformedField("the value of b'x'", b"x", value)

    def test_lenient_values(self) -> None:
        """Any other octet passes."""
        value = b"!" + bytes(c for c in range(256) if c not in BAD_IN_VALUES) + b"!"
        fields = [(b"x", value), (b"y", b"")]
        self.assertEqual(fields, list(headers.parse_response([OK, *fields]).fields))

    def test_smuggled_lines(self) -> None:
        """An LF does not make one field of two, or two of one."""
        self.assertMalformed("the value of b'a'", [OK, (b"a", b"x\ny"), (b"b", b"z")])
        self.assertMalformed("the field name b'a\\nb'", [OK, (b"a\nb", b"x")])

    def test_connection_fields(self) -> None:
        """A field that speaks of the connection is malformed (section 8.2.2), and is named."""
        for name in headers.FORBIDDEN:
            self.assertMalformedField(f"the connection-specific field {name.decode()}", name, b"x")
        both = [OK, (b"upgrade", b"x"), (b"connection", b"x")]
        self.assertMalformed("the connection-specific field connection", both)

    def test_te(self) -> None:
        """Each TE says trailers."""
        headers.parse_response([OK, (b"te", b"trailers"), (b"te", b"Trailers")])
        self.assertMalformedField("te is not trailers", b"te", b"gzip")
        self.assertMalformed("te is not", [OK, (b"te", b"gzip"), (b"te", b"trailers")])

    def test_content_length(self) -> None:
        """A content-length is read."""
        for value, length in ((b"0", 0), (b"007", 7), (b"9" * 19, int("9" * 19))):
            head = headers.parse_response([OK, (b"content-length", value)])
            self.assertEqual(length, head.content_length)

    def test_bad_content_length(self) -> None:
        """It is one number, without signs, not a list, not too long to be one."""
        for value in (b"", b"+1", b"-1", b"1,1", b"1 1", b"0x1", b"1.0", b"\xb2", b"1" * 20):
            self.assertMalformedField("is not one number", b"content-length", value)
        same = (b"content-length", b"5")
        self.assertMalformed("content-length b'5', b'5' is not one number", [OK, same, same])


class TrailersTests(ResponseCase):
    """A response's trailer section."""

    def test_as_they_came(self) -> None:
        """The fields come out, in order."""
        fields = [(b"x", b"1"), (b"x", b"2")]
        self.assertEqual(fields, list(headers.parse_trailers(fields)))
        self.assertEqual([], list(headers.parse_trailers([])))

    def test_status(self) -> None:
        """Pseudo-header fields do not stand in trailers (section 8.1)."""
        error = self.assertRaises(MalformedHead, headers.parse_trailers, [OK])
        self.assertEqual("the pseudo-header field b':status' where none may stand", str(error))


names = st.one_of(
    st.sampled_from(
        [b"te", b"connection", b"upgrade", b":status", b":path", b":x", b"a", b"cookie", b"A"]
    ),
    st.binary(max_size=3),
)
values = st.one_of(
    st.sampled_from([b"trailers", b"200", b"gzip", b"", b"a b", b"x"]), st.binary(max_size=4)
)


class OracleTests(SynchronousTestCase):
    """h2's own rules, which are slower, refuse and accept the same."""

    def assertAgree(self, fields: list[tuple[bytes, bytes]], is_trailer: bool) -> None:
        """Both refuse the header list, or neither does."""
        flags = HeaderValidationFlags(True, is_trailer, not is_trailer, False)
        try:
            list(validate_headers(fields, flags))
            # h2 lets names pass that are no tokens.
            theirs = all(TOKEN(name) for name, _ in fields if not name.startswith(b":"))
        except ProtocolError:
            theirs = False
        try:
            if is_trailer:
                headers.parse_trailers(fields)
            else:
                headers.parse_response(fields)
            ours = True
        except MalformedHead:
            ours = False
        self.assertEqual(theirs, ours, fields)

    @law
    @example([(b"te", b"Trailers")])
    @example([(b"te", b"x"), (b"te", b"trailers")])
    @example([(b":status", b"200")])
    @given(st.lists(st.tuples(names, values), max_size=5))
    def test_heads(self, fields: list[tuple[bytes, bytes]]) -> None:
        """For a head that begins with a status of three digits; h2 leaves the digits alone."""
        self.assertAgree([OK, *fields], False)

    @law
    @example([(b":status", b"200")])
    @given(st.lists(st.tuples(names, values), max_size=5))
    def test_trailers(self, fields: list[tuple[bytes, bytes]]) -> None:
        """For trailers."""
        self.assertAgree(fields, True)
