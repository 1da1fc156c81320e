"""
What hostile servers say, and what comes of it, in tables.

Owns the attacks: each has a name, the octets, and who fails of it, how. :mod:`tests.hostile.attack`
runs them; a class that is decorated with :func:`meets` has a test for each, named after it.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.core import wire
from tests.core.wire import (
    COMPRESSION_ERROR,
    END_HEADERS,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    OK,
    PROTOCOL_ERROR,
    STREAM_CLOSED,
    Fields,
    data,
    frame,
    settings_frame,
    window_update,
)
from tests.hostile.server import block, head, string
from txhyper import Bounds
from txhyper.errors import (
    BodyTooLarge,
    BoundExceeded,
    DecodingFailed,
    MalformedResponse,
    ProtocolViolation,
)

__all__ = [
    "BODY",
    "BOUNDS",
    "BROKEN",
    "CONNECTION",
    "HEAD",
    "MALFORMED",
    "NOTHING",
    "STREAM",
    "TABLES",
    "WHOLE",
    "Case",
    "meets",
]

#: What ends: one stream, the connection with all of its streams, or nothing at all.
STREAM, CONNECTION, NOTHING = "stream", "connection", "nothing"

#: How far the victim had come: nothing is there, a response's head, or all of its response.
HEAD, BODY, WHOLE = "head", "body", "whole"

Says = Callable[..., bytes]


@dataclass(frozen=True)
class Case:
    """
    One attack.

    :ivar name: what the test is called.
    :ivar says: the octets, given the stream of the victim; the next stream is the neighbour's.
        One that promises is told the ``authority`` as well.
    :ivar ends: what ends by it, and ``code`` with which code of RST_STREAM or GOAWAY.
    :ivar stage: what the victim had by then.
    :ivar text: what the error says among other things, and ``bound`` which bound it names.
    :ivar isNamed: whether it names the code; a decoder knows of none.
    :ivar isUploading: whether the victim's request has a body that has not ended.
    :ivar isPaused: whether the victim reads nothing.
    :ivar isDecoded: whether the victim reads what the body's codings mean.
    :ivar isPushing: whether promises are asked for; ``resets`` are those that other streams get.
    """

    name: str
    says: Says
    ends: str = STREAM
    code: int = PROTOCOL_ERROR
    stage: str = HEAD
    text: str = ""
    error: type[Exception] = MalformedResponse
    bound: str | None = None
    bounds: Bounds | None = None
    method: bytes = b"GET"
    greeting: bytes = settings_frame()
    isNamed: bool = True
    isUploading: bool = False
    isPaused: bool = False
    isDecoded: bool = False
    isPushing: bool = False
    resets: tuple[tuple[int, int], ...] = ()


T = TypeVar("T", bound=type[Any])


def meets(cases: Iterable[Case]) -> Callable[[T], T]:
    """Give a class a test for each case, which calls its ``meet``."""

    def add(cls: T) -> T:
        for case in cases:
            # A default, since the variable is the loop's.
            def test(self: Any, case: Case = case) -> Any:
                return self.meet(case)

            name = f"test_{case.name}"
            assert not hasattr(cls, name), name
            test.__name__ = name
            test.__qualname__ = f"{cls.__qualname__}.{name}"
            test.__doc__ = f"{case.name}: it ends {case.ends}, with code {case.code}."
            setattr(cls, name, test)
        return cls

    return add


# -- messages that are malformed: one stream fails -----------------------------------------------


def heads(name: str, text: str, *lists: Fields) -> list[Case]:
    """Heads that are malformed, each with an end and without."""
    cases = []
    for number, fields in enumerate(lists):
        for end in (False, True):
            suffix = f"{number or ''}{'AtTheEnd' if end else ''}"
            cases.append(
                Case(
                    name + suffix,
                    lambda stream, fields=fields, end=end: head(stream, fields, end),
                    text=text,
                )
            )
    return cases


def fields(name: str, text: str, *wrong: tuple[bytes, bytes]) -> list[Case]:
    """A field that is malformed: in a head, among others, and in trailers."""
    cases = []
    for number, field in enumerate(wrong):
        first, second = (b"a", b"b"), (b"y", b"z")
        inHead = [*OK, first, field, second]
        inInformational = [(b":status", b"103"), field]
        cases += [
            Case(
                f"{name}{number or ''}",
                lambda stream, inHead=inHead: head(stream, inHead),
                text=text,
            ),
            Case(
                f"{name}{number or ''}InAnInformationalHead",
                lambda stream, found=inInformational: head(stream, found),
                text=text,
            ),
            Case(
                f"{name}{number or ''}InTrailers",
                lambda stream, found=(first, field, second): (
                    head(stream) + data(stream, b"body") + head(stream, found, True)
                ),
                stage=BODY,
                text=text,
            ),
        ]
    return cases


def length(value: bytes) -> Fields:
    """A head with this content-length."""
    return [*OK, (b"content-length", value)]


STATUS = "the status "
FIRST = "the first field is not :status"

MALFORMED: list[Case] = [
    *heads("statusMissing", FIRST, [], [(b"content-type", b"text/plain")]),
    *heads(
        "statusTwice",
        "the pseudo-header field b':status'",
        [*OK, *OK],
        [*OK, (b":status", b"404")],
        [*OK, (b"a", b"b"), *OK],
    ),
    *heads("statusLate", FIRST, [(b"a", b"b"), *OK]),
    *heads(
        "statusMalformed",
        STATUS,
        *(
            [(b":status", status)]
            for status in (
                b"",
                b"20",
                b"2000",
                b"abc",
                b"2 0",
                b"+20",
                b"-20",
                b" 200",
                b"200 ",
                b"200 OK",
                b"099",
                b"000",
                b"2\xb2\xb3",
                b"20\0",
            )
        ),
    ),
    *heads("statusSwitchingProtocols", "101 does not exist", [(b":status", b"101")]),
    *heads(
        "unknownPseudoHeader",
        "",
        [*OK, (b":reason", b"OK")],
        [*OK, (b":method", b"GET")],
        [*OK, (b":path", b"/")],
        [*OK, (b":protocol", b"websocket")],
        [(b":version", b"HTTP/1.1"), *OK],
        [*OK, (b":", b"")],
    ),
    *fields("pseudoHeaderLate", "the pseudo-header field", (b":path", b"/"), (b":status", b"200")),
    *fields("upperCase", "the field name", (b"X-Served-By", b"me"), (b"contenT-type", b"x/y")),
    *fields(
        "connectionSpecific",
        "the connection-specific field",
        (b"connection", b"close"),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-connection", b"keep-alive"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"),
    ),
    *fields("te", "te is not trailers", (b"te", b"gzip")),
    *fields(
        "badName",
        "the field name",
        (b"", b"x"),
        (b"a b", b"x"),
        (b" a", b"x"),
        (b"a\0", b"x"),
        (b"a\r\nset-cookie", b"x"),
        (b"a\n", b"x"),
        (b"\n", b"x"),
        (b"a:b", b"x"),
        (b"a(", b"x"),
        (b"a\x7f", b"x"),
        (b"\xc3\xa4", b"x"),
    ),
    *fields(
        "badValue",
        "the value of",
        (b"x", b"a\0b"),
        (b"x", b"a\rb"),
        (b"x", b"a\nb"),
        (b"x", b"a\r\nset-cookie: b=c"),
        (b"x", b"a\r\n\r\nHTTP/1.1 200 OK"),
        (b"x", b" a"),
        (b"x", b"a "),
        (b"x", b"\ta"),
        (b"x", b"a\t"),
        (b"x", b"\n"),
        (b"set-cookie", b"a=b\r\nx: y"),
    ),
    *heads(
        "contentLengthNoNumber",
        "content-length",
        *map(length, [b"", b"+5", b"-5", b"-0", b"0x5", b"5.0", b"5e0", b"five", b"9" * 20]),
    ),
    *heads("contentLengthWithSpace", "the value of", *map(length, [b" 5", b"5 "])),
    *heads("contentLengthListed", "content-length", *map(length, [b"5, 5", b"5,6", b"5;5"])),
    *heads(
        "contentLengthConflicting",
        "content-length",
        [*length(b"5"), (b"content-length", b"6")],
        [*length(b"5"), (b"content-length", b"5")],
    ),
    Case(
        "contentLengthOfWhatNeverComes",
        lambda stream: head(stream, length(b"5"), True),
        text="the stream ends 5 octets before its content-length",
    ),
    Case(
        "contentLengthTooLarge",
        lambda stream: head(stream, length(b"5")) + data(stream, b"abc", True),
        stage=BODY,
        text="the stream ends 2 octets before its content-length",
    ),
    Case(
        "contentLengthTooLargeBeforeTrailers",
        lambda stream: (
            head(stream, length(b"5")) + data(stream, b"abc") + head(stream, [(b"a", b"b")], True)
        ),
        stage=BODY,
        text="the stream ends 2 octets before its content-length",
    ),
    Case(
        "contentLengthTooSmall",
        lambda stream: head(stream, length(b"5")) + data(stream, b"abcdef", True),
        stage=BODY,
        text="6 octets of content where 5 were still to come",
    ),
    Case(
        "contentLengthTooSmallLater",
        lambda stream: (
            head(stream, length(b"5")) + data(stream, b"abcde") + data(stream, b"f", True)
        ),
        stage=BODY,
        text="1 octets of content where 0 were still to come",
    ),
    Case(
        "contentLengthOfPadding",
        lambda stream: head(stream, length(b"5")) + data(stream, b"abc", True, padding=2),
        stage=BODY,
        text="the stream ends 2 octets before its content-length",
    ),
    Case(
        "contentToHEAD",
        lambda stream: head(stream, length(b"5")) + data(stream, b"abcde", True),
        stage=BODY,
        text="5 octets of content where 0 were still to come",
        method=b"HEAD",
    ),
    *(
        Case(
            f"contentWith{status}",
            lambda stream, status=status: (
                head(stream, [(b":status", b"%d" % status)]) + data(stream, b"a", True)
            ),
            stage=BODY,
            text="1 octets of content where 0 were still to come",
        )
        for status in (204, 304)
    ),
    Case("dataBeforeHeaders", lambda stream: data(stream, b"body"), text="DATA before"),
    Case("emptyDataBeforeHeaders", lambda stream: data(stream, b""), text="DATA before"),
    Case("endBeforeHeaders", lambda stream: data(stream, b"", True), text="DATA before"),
    Case(
        "dataAfterInformational",
        lambda stream: head(stream, [(b":status", b"103")]) + data(stream, b"body"),
        text="DATA before",
    ),
    Case(
        "informationalThatEnds",
        lambda stream: head(stream, [(b":status", b"103")], True),
        text="END_STREAM with the informational status 103",
    ),
    Case(
        "informationalAfterTheFinal",
        lambda stream: head(stream) + head(stream, [(b":status", b"103")]),
        stage=BODY,
        text="trailers without END_STREAM",
    ),
    Case(
        "twoHeads",
        lambda stream: head(stream) + head(stream),
        stage=BODY,
        text="trailers without END_STREAM",
    ),
    Case(
        "twoHeadsAndTheEnd",
        lambda stream: head(stream) + head(stream, OK, True),
        stage=BODY,
        text="the pseudo-header field b':status'",
    ),
    Case(
        "dataAfterTrailers",
        lambda stream: head(stream) + head(stream, [(b"a", b"b")]) + data(stream, b"body", True),
        stage=BODY,
        text="trailers without END_STREAM",
    ),
    Case(
        "dataAfterTrailersThatEnd",
        lambda stream: head(stream) + head(stream, [(b"a", b"b")], True) + data(stream, b"more"),
        code=STREAM_CLOSED,
        stage=WHOLE,
        method=b"POST",
        isUploading=True,
    ),
    Case(
        "dataAfterTheEnd",
        lambda stream: head(stream, OK, True) + data(stream, b"more", True),
        code=STREAM_CLOSED,
        stage=WHOLE,
        method=b"POST",
        isUploading=True,
    ),
    Case(
        "headersAfterTheEnd",
        lambda stream: head(stream) + data(stream, b"body", True) + head(stream, OK, True),
        code=STREAM_CLOSED,
        stage=WHOLE,
        method=b"POST",
        isUploading=True,
    ),
    Case(
        "malformedToAnUpload",
        lambda stream: head(stream, [(b":status", b"abc")]),
        text=STATUS,
        method=b"POST",
        isUploading=True,
    ),
    Case(
        "dataBeyondTheStreamsWindow",
        lambda stream: head(stream) + 17 * data(stream, bytes(16384)),
        code=FLOW_CONTROL_ERROR,
        stage=BODY,
        text="DATA beyond the stream's window",
        isPaused=True,
    ),
    Case(
        "windowUpdateByNothing",
        lambda stream: window_update(stream, 0),
        text="WINDOW_UPDATE by 0",
    ),
    Case(
        "windowAboveTheLimit",
        lambda stream: window_update(stream, 2**31 - 1),
        code=FLOW_CONTROL_ERROR,
        text="a window above 2^31-1",
    ),
]


# -- what breaks the connection: everybody on it fails ---------------------------------------------


def broken(name: str, says: Says, code: int = PROTOCOL_ERROR, text: str = "", **more: Any) -> Case:
    """A rule of the connection is broken."""
    return Case(name, says, CONNECTION, code, text=text, error=ProtocolViolation, **more)


def always(octets: bytes) -> Says:
    """The same, whichever stream it is."""
    return lambda stream: octets


def raw(octets: bytes) -> Says:
    """HEADERS with a block that may be none."""
    return lambda stream: frame(wire.HEADERS, END_HEADERS, stream, octets)


def setting(number: int, value: int) -> Says:
    """SETTINGS with one entry."""
    return always(settings_frame([(number, value)]))


NOT_HTTP2 = "this is not HTTP/2"

BROKEN: list[Case] = [
    broken("http11", always(b"HTTP/1.1 200 OK\r\n\r\n"), text=NOT_HTTP2, greeting=b""),
    broken("firstFrameNoSettings", always(frame(wire.PING, 0, 0, bytes(8))), greeting=b""),
    broken("firstFrameAnAcknowledgement", always(settings_frame(flags=wire.ACK)), greeting=b""),
    broken(
        "headersAfterTheEndOfAll",
        lambda stream: head(stream, OK, True) + head(stream),
        STREAM_CLOSED,
        "after its END_STREAM",
        stage=WHOLE,
    ),
    broken(
        "dataAfterTheEndOfAll",
        lambda stream: head(stream, OK, True) + data(stream, b"more"),
        STREAM_CLOSED,
        "after its END_STREAM",
        stage=WHOLE,
    ),
    broken(
        "dataAfterTrailersOfAll",
        lambda stream: head(stream) + head(stream, [(b"a", b"b")], True) + data(stream, b"more"),
        STREAM_CLOSED,
        "after its END_STREAM",
        stage=WHOLE,
    ),
    broken(
        "frameTooLarge",
        always(b"\x00\x40\x01\x00\x00\x00\x00\x00\x01"),
        FRAME_SIZE_ERROR,
        "a frame of 16385 octets",
    ),
    broken(
        "frameOfAnUnknownTypeTooLarge",
        always(b"\xff\xff\xff\xfa\x00\x00\x00\x00\x00"),
        FRAME_SIZE_ERROR,
    ),
    *(
        broken(f"{name}OnStream0", always(frame(kind, flags, 0, payload)), text="on stream 0")
        for name, kind, flags, payload in [
            ("data", wire.DATA, 0, b"x"),
            ("headers", wire.HEADERS, END_HEADERS, block(OK)),
            ("priority", wire.PRIORITY, 0, bytes(5)),
            ("reset", wire.RST_STREAM, 0, bytes(4)),
            ("pushPromise", wire.PUSH_PROMISE, END_HEADERS, bytes(4)),
            ("continuation", wire.CONTINUATION, END_HEADERS, b""),
        ]
    ),
    *(
        broken(
            f"{name}OnAStream",
            lambda stream, kind=kind, size=size: frame(kind, 0, stream, bytes(size)),
            text="on stream 1",
        )
        for name, kind, size in [
            ("settings", wire.SETTINGS, 0),
            ("ping", wire.PING, 8),
            ("goAway", wire.GOAWAY, 8),
        ]
    ),
    *(
        broken(f"{name}OnAnIdleStream", always(octets))
        for name, octets in [
            ("data", data(99, b"x")),
            ("headers", head(99)),
            ("reset", wire.reset(99, 0)),
            ("windowUpdate", window_update(99, 1)),
            ("dataOfTheServersOwn", data(2, b"x")),
            ("headersOfTheServersOwn", head(2)),
        ]
    ),
    *(
        broken(f"{name}OfWrongSize", lambda stream, says=says: says(stream), FRAME_SIZE_ERROR)
        for name, says in [
            ("reset", lambda stream: frame(wire.RST_STREAM, 0, stream, bytes(3))),
            ("windowUpdate", lambda stream: frame(wire.WINDOW_UPDATE, 0, stream, bytes(5))),
            ("priority", lambda stream: frame(wire.PRIORITY, 0, stream, bytes(4))),
            ("ping", always(frame(wire.PING, 0, 0, bytes(7)))),
            ("goAway", always(frame(wire.GOAWAY, 0, 0, bytes(7)))),
            ("settings", always(frame(wire.SETTINGS, 0, 0, bytes(5)))),
            ("settingsAcknowledged", always(frame(wire.SETTINGS, wire.ACK, 0, bytes(6)))),
            (
                "priorityOfHeaders",
                lambda stream: frame(
                    wire.HEADERS, END_HEADERS | wire.WITH_PRIORITY, stream, bytes(4)
                ),
            ),
        ]
    ),
    broken(
        "paddingOfDataTooLong",
        lambda stream: head(stream) + frame(wire.DATA, wire.PADDED, stream, b"\x05abcd"),
        stage=BODY,
    ),
    broken(
        "paddingOfHeadersTooLong",
        lambda stream: frame(wire.HEADERS, END_HEADERS | wire.PADDED, stream, b"\x05abcd"),
    ),
    broken(
        "pushPromiseThoughSwitchedOff",
        lambda stream: frame(
            wire.PUSH_PROMISE, END_HEADERS, stream, struct.pack(">L", 2) + block(OK)
        ),
        text="although push is disabled",
    ),
    broken(
        "continuationOfNothing",
        lambda stream: frame(wire.CONTINUATION, END_HEADERS, stream, block(OK)),
        text="CONTINUATION without HEADERS",
    ),
    broken(
        "frameWithinABlock",
        lambda stream: head(stream, flags=0) + frame(wire.PING, 0, 0, bytes(8)),
        text="in the middle of a header block",
    ),
    broken(
        "continuationOfAnotherStream",
        lambda stream: head(stream, flags=0) + frame(wire.CONTINUATION, END_HEADERS, stream + 2),
        text="in the middle of a header block",
    ),
    broken("enablePushFromAServer", setting(wire.ENABLE_PUSH, 2)),
    broken("initialWindowTooLarge", setting(wire.INITIAL_WINDOW_SIZE, 2**31), FLOW_CONTROL_ERROR),
    broken("frameSizeNothing", setting(wire.MAX_FRAME_SIZE, 0)),
    broken("frameSizeTooSmall", setting(wire.MAX_FRAME_SIZE, 16383)),
    broken("frameSizeTooLarge", setting(wire.MAX_FRAME_SIZE, 2**24)),
    broken(
        "initialWindowLiftsAStream",
        lambda stream: (
            window_update(stream, 2**31 - 1 - 65535)
            + settings_frame([(wire.INITIAL_WINDOW_SIZE, 65536)])
        ),
        FLOW_CONTROL_ERROR,
    ),
    broken("windowUpdateOfTheConnectionByNothing", always(window_update(0, 0))),
    broken(
        "windowOfTheConnectionTooLarge", always(window_update(0, 2**31 - 1)), FLOW_CONTROL_ERROR
    ),
    broken("indexOfNothing", raw(b"\x80"), COMPRESSION_ERROR),
    broken("indexBeyondTheTable", raw(b"\xff\x20"), COMPRESSION_ERROR),
    broken("integerWithoutEnd", raw(b"\xff" + 20 * b"\x80"), COMPRESSION_ERROR),
    broken("integerTooLarge", raw(b"\xff" + 10 * b"\xff" + b"\x01"), COMPRESSION_ERROR),
    broken("stringCutOff", raw(b"\0" + string(b":status") + b"\x05200"), COMPRESSION_ERROR),
    broken("huffmanOfOnes", raw(b"\0\x84\xff\xff\xff\xff\x00"), COMPRESSION_ERROR),
    broken("tableTooLarge", raw(b"\x3f\xe1\xff\x03" + block(OK)), COMPRESSION_ERROR),
    broken("tableResizedLate", raw(block(OK) + b"\x20"), COMPRESSION_ERROR),
]


# -- bounds --------------------------------------------------------------------------------------


def exceeded(name: str, bound: str, limit: float, says: Says, ends: str, **more: Any) -> Case:
    """A bound is passed; the limit is low, so that few octets do it."""
    bounds = Bounds(**{"useless_frames_per_second": 0.0, bound: limit})
    more = {"code": ENHANCE_YOUR_CALM, "bounds": bounds, "error": BoundExceeded, **more}
    return Case(name, says, ends, bound=bound, **more)


def pieces(number: int, size: int) -> Says:
    """A header block in so many CONTINUATION frames of this size."""
    more = frame(wire.CONTINUATION, 0, 1, bytes(size))
    return lambda stream: head(stream, flags=0) + number * more


def useless(name: str, says: Says, stage: str = HEAD) -> Case:
    """Eleven frames where ten are too many; two requests are worth twenty more."""
    return exceeded(
        f"uselessFrames{name}",
        "useless_frames",
        10,
        lambda stream: says(stream),
        CONNECTION,
        stage=stage,
    )


def content(stream: int, octets: bytes) -> bytes:
    """DATA in frames that are not too large, and the end."""
    cuts = range(0, len(octets), 16384)
    return b"".join(data(stream, octets[cut : cut + 16384]) for cut in cuts) + data(
        stream, b"", True
    )


def coded(name: str, bound: str, codings: bytes, octets: bytes, **more: Any) -> Case:
    """A body with codings. Whoever wants no more of it cancels it."""
    return Case(
        name,
        lambda stream: (
            head(stream, [*OK, (b"content-encoding", codings)]) + content(stream, octets)
        ),
        code=wire.CANCEL,
        stage=BODY,
        bound=bound,
        isNamed=False,
        isDecoded=True,
        **more,
    )


def promised(stream: int, number: int, authority: bytes) -> bytes:
    """So many promises beside this stream."""
    request = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", authority)]
    fields = block([*request, (b":path", b"/")])
    return b"".join(
        frame(wire.PUSH_PROMISE, END_HEADERS, stream, struct.pack(">L", 2 * each) + fields)
        for each in range(1, number + 1)
    )


def ones(number: int) -> Says:
    """HEADERS with so many fields of one octet each, from the static table."""
    return lambda stream: frame(wire.HEADERS, END_HEADERS, stream, b"\x88" + number * b"\x90")


EARLY_HINTS = [(b":status", b"103")]

BOUNDS: list[Case] = [
    exceeded(
        "headerListSize",
        "header_list_size",
        1000,
        lambda stream: head(stream, [*OK, (b"x", bytes(b"y" * 1000))]),
        CONNECTION,
    ),
    exceeded("headerListSizeOfNothing", "header_list_size", 1000, ones(40), CONNECTION),
    exceeded("headerListSizeOnTheWire", "header_list_size", 1000, pieces(3, 400), CONNECTION),
    Case(
        "headerListSizeByDefault",
        ones(16000),
        CONNECTION,
        ENHANCE_YOUR_CALM,
        error=BoundExceeded,
        bound="header_list_size",
    ),
    exceeded(
        "headerFields",
        "header_fields",
        5,
        lambda stream: head(stream, [*OK, *[(b"a", b"")] * 5]),
        STREAM,
        text="more than 5 fields",
    ),
    exceeded(
        "headerFieldsOfTrailers",
        "header_fields",
        5,
        lambda stream: head(stream) + head(stream, [(b"a", b"")] * 6, True),
        STREAM,
        stage=BODY,
        text="more than 5 fields",
    ),
    exceeded("continuationFrames", "continuation_frames", 5, pieces(6, 1), CONNECTION),
    exceeded("continuationFramesOfNothing", "continuation_frames", 5, pieces(6, 0), CONNECTION),
    Case(
        "continuationFramesByDefault",
        pieces(65, 0),
        CONNECTION,
        ENHANCE_YOUR_CALM,
        error=BoundExceeded,
        bound="continuation_frames",
    ),
    exceeded(
        "informationalResponses",
        "informational_responses",
        3,
        lambda stream: 4 * head(stream, EARLY_HINTS),
        STREAM,
        text="more than 3 informational responses",
    ),
    exceeded(
        "settingsEntries",
        "settings_entries",
        5,
        always(settings_frame([(0xFF, 0)] * 6)),
        CONNECTION,
        text="more than 5 entries",
    ),
    useless("Ping", always(30 * frame(wire.PING, 0, 0, bytes(8)))),
    useless("PingAcknowledged", always(30 * frame(wire.PING, wire.ACK, 0, bytes(8)))),
    useless("Settings", always(30 * settings_frame())),
    useless("SettingsAcknowledged", always(30 * settings_frame(flags=wire.ACK))),
    useless("Priority", lambda stream: 30 * frame(wire.PRIORITY, 0, stream, bytes(5))),
    useless("WindowUpdate", lambda stream: 30 * window_update(stream, 1)),
    useless("WindowUpdateOfTheConnection", always(30 * window_update(0, 1))),
    useless("EmptyData", lambda stream: head(stream) + 30 * data(stream, b""), stage=BODY),
    useless("UnknownType", always(30 * frame(0xFA, 0, 0, b"x"))),
    useless("UnknownTypeOnAStream", lambda stream: 30 * frame(0xFA, 0, stream, b"x")),
    useless("Altsvc", always(30 * frame(wire.ALTSVC, 0, 0, bytes(2)))),
    useless("Origin", always(30 * wire.origin_frame())),
    useless(
        "OfAStreamThatHasEnded",
        lambda stream: head(stream, OK, True) + 30 * window_update(stream, 1),
        stage=WHOLE,
    ),
    Case(
        "promises",
        lambda stream, authority: (
            promised(stream, 3, authority)
            + head(stream, OK, True)
            + head(2, OK, True)
            + head(4, OK, True)
        ),
        NOTHING,
        stage=WHOLE,
        bound="promises",
        bounds=Bounds(promises=2),
        resets=((6, wire.REFUSED_STREAM),),
        isPushing=True,
    ),
    Case(
        "originSetEntries",
        lambda stream: (
            wire.origin_frame(*[b"https://%d.test" % each for each in range(100)])
            + head(stream, OK, True)
        ),
        NOTHING,
        stage=WHOLE,
        bound="origin_set_entries",
        bounds=Bounds(origin_set_entries=5),
    ),
    Case(
        "originSetOctets",
        lambda stream: (
            wire.origin_frame(*[b"https://%d.test" % each for each in range(100)])
            + head(stream, OK, True)
        ),
        NOTHING,
        stage=WHOLE,
        bound="origin_set_octets",
        bounds=Bounds(origin_set_octets=50),
    ),
    coded(
        "contentCodings",
        "content_codings",
        b"gzip, gzip, gzip, gzip, gzip",
        b"x",
        error=DecodingFailed,
    ),
    coded(
        "decodedBodySize",
        "decoded_body_size",
        b"gzip",
        gzip.compress(bytes(2000)),
        bounds=Bounds(decoded_body_size=1000),
        error=BodyTooLarge,
    ),
    coded(
        "decodedRatio",
        "decoded_ratio",
        b"deflate, gzip",
        gzip.compress(zlib.compress(bytes(20 << 20))),
        error=BodyTooLarge,
    ),
]

#: By the names that the tests' classes use.
TABLES = {"MALFORMED": MALFORMED, "BROKEN": BROKEN, "BOUNDS": BOUNDS}
