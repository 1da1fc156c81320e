"""
A judge of conversations: reads both sides of one, and says when the client breaks a rule.

Owns books of its own, kept from the octets alone: windows in both directions, streams and their
ends, settings and their acknowledgements (RFC 9113 sections 5.1, 6.5, 6.7, 6.9). Never looks into
the client, but for :meth:`Judge.balance`, which compares the client's books with these. What the
peer does wrong is none of its business: the client is to be judged, whatever it is told.
"""

from __future__ import annotations

from typing import Any

from hpack import Decoder

from txhyper.core import frames
from txhyper.core.streams import ENDED

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FIRST_WINDOW = 65535
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 3, 4, 5


class Account:
    """One stream as the judge knows it."""

    def __init__(self, sendWindow: int, receiveWindow: int) -> None:
        # What the client may still send, and what the peer may.
        self.sendWindow = sendWindow
        self.receiveWindow = receiveWindow
        self.granted = receiveWindow
        self.hasClientEnded = False
        self.hasPeerEnded = False
        # By whomever; and whether the client may have written before it read of that.
        self.wasReset = False
        self.isNews = False

    @property
    def isOpen(self) -> bool:
        """Whether it counts among the concurrent streams."""
        return not (self.wasReset or (self.hasClientEnded and self.hasPeerEnded))


class FrameReader:
    """Cuts one side's octets into frames, as far as they are whole."""

    def __init__(self, isClient: bool) -> None:
        self._octets = b""
        self._needsPreface = isClient

    def read(self, octets: bytes) -> list[tuple[int, int, int, bytes]]:
        """The frames that are whole now."""
        self._octets += octets
        if self._needsPreface and len(self._octets) >= len(PREFACE):
            assert self._octets.startswith(PREFACE), "no preface"
            self._octets = self._octets[len(PREFACE) :]
            self._needsPreface = False
        found = []
        while not self._needsPreface and len(self._octets) >= frames.HEADER_LENGTH:
            lengthAndKind, flags, streamId = frames.read_header(self._octets)
            end = frames.HEADER_LENGTH + (lengthAndKind >> 8)
            if end > len(self._octets):
                break
            payload = self._octets[frames.HEADER_LENGTH : end]
            self._octets = self._octets[end:]
            found.append((lengthAndKind & 0xFF, flags, streamId & frames.STREAM_MASK, payload))
        return found

    @property
    def rest(self) -> bytes:
        """What is not a frame yet."""
        return self._octets


class Judge:
    """
    One conversation. The peer's octets are shown before the client reads them, the client's
    as soon as they were written.

    :ivar openCount: streams of the client's that are open for the peer.
    """

    def __init__(self) -> None:
        self._client = FrameReader(True)
        self._peer = FrameReader(False)
        self._decoder = Decoder()
        self.accounts: dict[int, Account] = {}
        self._lastOpened = 0
        self._block: tuple[int, list[bytes]] | None = None
        # The peer's open header block: its stream, and whether it ends it.
        self._peerBlock: tuple[int, bool] | None = None
        self.sendWindow = FIRST_WINDOW
        self.granted = FIRST_WINDOW
        self.received = 0
        self._initialWindow = FIRST_WINDOW
        self._maxFrameSize = 16384
        # The largest number that was in force since the client has written last.
        self._limits = [100]
        self._ownWindow = FIRST_WINDOW
        self._lastPromised: int | None = None
        self.hasSaidGoodbye = False
        self._pings: list[bytes] = []
        self._unacknowledged = 0
        #: The greatest number of octets that the peer was ever allowed to have on its way to the
        #: streams, and the client may have to keep.
        self.allowed = 0

    @property
    def openCount(self) -> int:
        return sum(account.isOpen for account in self.accounts.values())

    # -- the peer ------------------------------------------------------------------------------

    def peerSends(self, octets: bytes) -> None:
        """What the client is about to read."""
        for kind, flags, streamId, payload in self._peer.read(octets):
            self._peerFrame(kind, flags, streamId, payload)

    def _peerFrame(self, kind: int, flags: int, streamId: int, payload: bytes) -> None:
        account = self.accounts.get(streamId)
        if kind == frames.DATA:
            self.received += len(payload)
            if account is not None:
                account.receiveWindow -= len(payload)
                account.hasPeerEnded |= bool(flags & frames.END_STREAM)
        elif kind in (frames.HEADERS, frames.CONTINUATION):
            if kind == frames.HEADERS:
                self._peerBlock = streamId, bool(flags & frames.END_STREAM)
            if flags & frames.END_HEADERS and self._peerBlock is not None:
                blockId, isEnd = self._peerBlock
                self._peerBlock = None
                if isEnd and blockId in self.accounts:
                    self.accounts[blockId].hasPeerEnded = True
        elif kind == frames.RST_STREAM:
            if account is not None and not account.wasReset:
                account.wasReset = account.isNews = True
        elif kind == frames.WINDOW_UPDATE and len(payload) == 4:
            increment = int.from_bytes(payload, "big") & frames.MAX_WINDOW
            if not streamId:
                self.sendWindow += increment
            elif account is not None:
                account.sendWindow += increment
        elif kind == frames.SETTINGS and not streamId:
            self._settings(flags, payload)
        elif kind == frames.PING and not streamId and not flags & frames.ACK:
            self._pings.append(payload)
        elif kind == frames.GOAWAY and not streamId and len(payload) >= 8:
            last = int.from_bytes(payload[:4], "big") & frames.STREAM_MASK
            if self._lastPromised is not None:
                last = min(last, self._lastPromised)
            self._lastPromised = last
            for ownId, own in self.accounts.items():
                if ownId > last and not own.wasReset:
                    own.wasReset = own.isNews = True

    def _settings(self, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            return
        self._unacknowledged += 1
        for start in range(0, len(payload) - 5, 6):
            code = int.from_bytes(payload[start : start + 2], "big")
            value = int.from_bytes(payload[start + 2 : start + 6], "big")
            if code == MAX_CONCURRENT_STREAMS:
                self._limits.append(value)
            elif code == MAX_FRAME_SIZE and value >= 16384:
                self._maxFrameSize = value
            elif code == INITIAL_WINDOW_SIZE:
                for account in self.accounts.values():
                    account.sendWindow += value - self._initialWindow
                self._initialWindow = value

    # -- the client ----------------------------------------------------------------------------

    def clientSends(self, octets: bytes) -> None:
        """
        What the client has written.

        :raises AssertionError: it may not say that.
        """
        for frame in self._client.read(octets):
            assert not self.hasSaidGoodbye, f"{frame} after GOAWAY"
            try:
                self._clientFrame(*frame)
            except AssertionError as error:
                raise AssertionError(f"{error}: {frames.describe(*frame)}") from None
        if octets:
            # By now it has had time to obey.
            self._limits = self._limits[-1:]
        for account in self.accounts.values():
            account.isNews = False

    def _clientFrame(self, kind: int, flags: int, streamId: int, payload: bytes) -> None:
        assert len(payload) <= self._maxFrameSize or kind == frames.SETTINGS, "too large"
        if self._block is not None:
            assert kind == frames.CONTINUATION and streamId == self._block[0], "within a block"
            self._block[1].append(payload)
            self._blockEnds(flags)
        elif kind == frames.HEADERS:
            self._clientHeaders(flags, streamId, payload)
        elif kind == frames.DATA:
            self._clientData(flags, streamId, len(payload))
        elif kind == frames.WINDOW_UPDATE:
            self._credit(streamId, int.from_bytes(payload, "big"))
        elif kind == frames.RST_STREAM:
            assert streamId, "of the connection"
            if streamId & 1:
                account = self.accounts.get(streamId)
                assert account is not None, "of a stream that is idle"
                assert account.isNews or not account.wasReset, "reset twice"
                account.wasReset, account.isNews = True, False
        elif kind == frames.SETTINGS:
            if flags & frames.ACK:
                self._unacknowledged -= 1
                assert self._unacknowledged >= 0, "SETTINGS that nobody has sent"
            else:
                for start in range(0, len(payload), 6):
                    if int.from_bytes(payload[start : start + 2], "big") == INITIAL_WINDOW_SIZE:
                        self._ownWindow = int.from_bytes(payload[start + 2 : start + 6], "big")
        elif kind == frames.PING:
            assert len(payload) == 8, "of other than 8 octets"
            if flags & frames.ACK:
                assert self._pings and self._pings.pop(0) == payload, "a PING that nobody sent"
        elif kind == frames.GOAWAY:
            self.hasSaidGoodbye = True
        else:
            raise AssertionError("a client does not send that")

    def _clientHeaders(self, flags: int, streamId: int, payload: bytes) -> None:
        assert streamId & 1, "on an even stream"
        self._block = streamId, [payload]
        isEnd = bool(flags & frames.END_STREAM)
        account = self.accounts.get(streamId)
        if account is None:
            assert streamId > self._lastOpened, "not a new stream"
            self._lastOpened = streamId
            # GOAWAY may have come in the same read, after the request had gone out.
            limit = max(self._limits)
            assert self.openCount < limit, f"more than {limit} streams"
            account = Account(self._initialWindow, self._ownWindow)
            account.wasReset = self._lastPromised is not None and streamId > self._lastPromised
            self.accounts[streamId] = account
            self.allowed += self._ownWindow
        else:
            assert not (account.hasClientEnded or account.wasReset), "on a closed stream"
            assert isEnd, "trailers without END_STREAM"
        account.hasClientEnded = isEnd
        self._blockEnds(flags)

    def _blockEnds(self, flags: int) -> None:
        if flags & frames.END_HEADERS:
            assert self._block is not None
            block = b"".join(self._block[1])
            self._block = None
            # In order, whole and well-formed: else this raises.
            self._decoder.decode(block, raw=True)

    def _clientData(self, flags: int, streamId: int, size: int) -> None:
        account = self.accounts.get(streamId)
        assert account is not None, "on an idle stream"
        assert not (account.hasClientEnded or account.wasReset), "on a closed stream"
        account.sendWindow -= size
        self.sendWindow -= size
        if size:
            assert account.sendWindow >= 0, "beyond the stream's window"
            assert self.sendWindow >= 0, "beyond the connection's window"
        account.hasClientEnded = bool(flags & frames.END_STREAM)

    def _credit(self, streamId: int, increment: int) -> None:
        assert 0 < increment <= frames.MAX_WINDOW, "an increment of nothing"
        if not streamId:
            self.granted += increment
            assert self.granted - self.received <= frames.MAX_WINDOW, "a window above 2^31-1"
        elif streamId & 1:
            account = self.accounts.get(streamId)
            assert account is not None, "of a stream that is idle"
            assert account.isNews or not account.wasReset, "of a stream that was reset"
            account.receiveWindow += increment
            account.granted += increment
            assert account.receiveWindow <= frames.MAX_WINDOW, "a window above 2^31-1"
            self.allowed += increment

    # -- both books ----------------------------------------------------------------------------

    def balance(self, client: Any) -> None:
        """
        The client's books say what these do, while the connection lives.

        :raises AssertionError: they do not: somebody has lost credit, or a slot.
        """
        engine = client._engine
        if client._wire.over or self.hasSaidGoodbye:
            return
        assert engine._receive_window == self.granted - self.received, "the connection's window"
        assert engine.send_window == self.sendWindow, "the connection's window for sending"
        # What has come and has not been credited is less than half of what may come.
        target = engine.manager.window
        missing = target - engine._receive_window
        assert missing >= 0 and missing * 2 < max(target, 1) + 2, "credit is withheld"
        # Frames that wait for their turn have opened streams that are not here yet.
        for stream in engine.streams:
            account = self.accounts.get(stream.id)
            if account is not None and stream.id & 1:
                assert stream.receive_window == account.receiveWindow, f"stream {stream.id}"
                window = stream.send_credit + engine.initial_window
                assert window == account.sendWindow, f"stream {stream.id}, for sending"
        own = [stream for stream in engine.streams if stream.id & 1]
        assert client._admission.in_use == len(own), "slots"
        assert not self._unacknowledged, "SETTINGS without an answer"
        assert not self._pings, "PINGs without an answer"
        known = sum(account.isOpen for account in self.accounts.values())
        fresh = sum(stream.id not in self.accounts for stream in own)
        assert known + fresh == len(own), "streams that only one side knows"
        queued = sum(s.outbound.queued for s in own if s.outbound is not None)
        assert client._outbound.queued == queued, "octets to send that belong to nobody"

    def paid(self, client: Any) -> None:
        """
        A stream whose reader keeps up has less than half of its window uncredited.

        :raises AssertionError: it has not: it would come to a stop.
        """
        if client._wire.over or self.hasSaidGoodbye:
            return
        for stream in client._engine.streams:
            exchange, manager = stream.owner, stream.manager
            isRead = exchange._reader is not None and exchange._inbound is None
            if isRead and stream.receiving != ENDED:
                # Nothing was consumed yet where there is no manager.
                window = self._ownWindow if manager is None else manager.window
                missing = window - stream.receive_window
                assert missing >= 0 and missing * 2 < window + 2, "a reader is starved"
