"""
Every limit that the client keeps, in one place.

Owns the numbers and their reasons; enforces nothing. The engine, the exchange and the pool read
them.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Bounds"]


@dataclass(frozen=True)
class Bounds:
    """
    The limits that one connection keeps, with defaults that no real server meets.

    A limit of one stream that is passed fails that stream; any other ends the connection with
    ENHANCE_YOUR_CALM (RFC 9113 section 7), unless it says otherwise. The error names the field
    below.
    """

    #: Octets of a decoded header list, 32 counted on top for each field (RFC 9113 section
    #: 6.5.2). Announced to the peer, and enforced. It bounds a header block's octets on the wire
    #: as well.
    header_list_size: int = 256 * 1024

    #: Fields of one header list, of whatever size.
    header_fields: int = 2000

    #: CONTINUATION frames of one header block. Size alone does not catch empty ones.
    continuation_frames: int = 64

    #: Informational responses (1xx) before one final response.
    informational_responses: int = 100

    #: Promised responses of one connection that are not complete yet (server push), and promises
    #: beside one response that nobody has taken, complete or not. The peer has each one above it
    #: refused, with REFUSED_STREAM, and the connection lives. Each holds at most one stream window
    #: of octets that nobody reads.
    promises: int = 32

    #: Entries of one SETTINGS frame. The RFCs know ten.
    settings_entries: int = 64

    #: Frames without progress that a peer may send at once: PING, SETTINGS, PRIORITY,
    #: WINDOW_UPDATE, empty DATA, a few octets of DATA for a response that nobody reads, promises,
    #: GOAWAY after GOAWAY, frames of unknown types and of streams that are closed, reads of fewer
    #: than nine octets that complete no frame and bring nothing of a body. Each entry of a SETTINGS
    #: frame counts as one more, and so do 16 octets of an ORIGIN frame and 16 fields of an
    #: informational response.
    useless_frames: int = 10_000

    #: How many of them are forgiven with each second. Each request that is sent is worth ten more,
    #: and each KiB of a body, either way, is worth one.
    useless_frames_per_second: float = 500.0

    #: Octets of control frames that wait while the transport takes nothing. Past it the peer
    #: makes us answer without reading the answers, and the connection is aborted.
    pending_control_octets: int = 1024 * 1024

    #: Codings of one body, such as ``gzip, br``, that are undone one after the other.
    content_codings: int = 4

    #: Octets of one body after its codings have been undone.
    decoded_body_size: int = 8 * 1024 * 1024 * 1024

    #: How many times larger a body may become than it came, once 16 MiB of it have been decoded.
    #: Text comes to 10 and rarely 50; what passes this was made to.
    decoded_ratio: int = 250

    #: Seconds that a body is held back for a server that was told to expect it and does not ask
    #: for it (``Expect: 100-continue``, RFC 9110 section 10.1.1). Go and curl wait as long.
    continue_timeout: float = 1.0

    #: Origins that one connection's server may say it is for, in ORIGIN frames (RFC 8336 section
    #: 4). What comes above either of these two is not taken in, and ends nothing: such an origin
    #: gets a connection of its own.
    origin_set_entries: int = 1000

    #: Octets of these origins' names together.
    origin_set_octets: int = 64 * 1024

    #: Octets given to ``send`` of hyper's connections that may wait when more are given to it. Past
    #: it the request is left as it is, and the caller has to wait first.
    unsent_octets: int = 16 * 1024 * 1024

    #: How often one request is put on a connection, the first time included.
    attempts: int = 5
