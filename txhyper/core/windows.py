"""
How much the peer may send before it has to wait: the policies of inbound flow control.

Owns the decision when to give credit, and how much. Never sends it: the engine does, and it keeps
the books as well (how much is advertised, how much has come). One instance serves the connection
and is asked at *receipt*; one serves each stream that carries a body and is asked at *consumption*,
when its reader has taken the octets. So a paused reader holds back its own stream and nothing else.
The windows that a connection and its streams begin with are attributes of the class.

All sizes are flow-controlled lengths in octets, padding included (RFC 9113 section 6.9.1).
"""

from __future__ import annotations

from typing import ClassVar

from txhyper.core.frames import MAX_WINDOW

__all__ = [
    "FIRST_CONNECTION_WINDOW",
    "BaseFlowControlManager",
    "ConsumptionFlowControlManager",
    "FlowControlManager",
    "ReceiptFlowControlManager",
    "check_windows",
]

#: The window that both sides of a connection begin with (RFC 9113 section 6.9.2), in octets.
FIRST_CONNECTION_WINDOW = 65535


class BaseFlowControlManager:
    """
    The base of pluggable window managers.

    Plug in the *class*, not an instance: the connection makes one instance for itself and one
    for each stream. Subclasses say in :meth:`increase_window_size` how much credit to give; those
    that want to tell a stream's receipt from its consumption override :meth:`received` and
    :meth:`consumed` as well.

    :ivar initial_window_size: the window that the peer was granted to begin with.
    :ivar document_size: the content-length of the response, where it has one.
    """

    __slots__ = ("document_size", "initial_window_size")

    #: The window of every new stream, in octets: what its peer may send before its reader has
    #: taken anything. From 0 to 2^31-1; announced as SETTINGS_INITIAL_WINDOW_SIZE.
    initial_stream_window: ClassVar[int] = 256 * 1024
    #: The window of a new connection, in octets. From 65,535, which is what RFC 9113 section 6.9.2
    #: begins with and no setting lowers, to 2^31-1. It is paid at receipt, so that it bounds
    #: nothing but what is on its way; what bounds the memory is the number of streams times their
    #: windows.
    initial_connection_window: ClassVar[int] = 32 * 1024 * 1024

    def __init__(self, initial_window_size: int, document_size: int | None = None) -> None:
        self.initial_window_size = initial_window_size
        self.document_size = document_size

    def increase_window_size(self, frame_size: int) -> int:
        """
        How many octets to add to the window now.

        Called for the connection when a DATA frame has been received, for a stream when its
        reader has consumed octets.

        :param frame_size: the flow-controlled length received, or consumed, since the last call.
        :return: the increment of a WINDOW_UPDATE; 0 sends none. A window that would pass 2^31-1
            is cut to it.
        """
        raise NotImplementedError("a window manager decides here how much credit to give")

    def received(self, size: int) -> int:
        """
        A stream's DATA has come, and its reader has not had it yet.

        Credit that is given here does not wait for the reader. The connection's instance is not
        told: :meth:`increase_window_size` has told it already.

        :param size: the flow-controlled length.
        :return: as for :meth:`increase_window_size`; by default 0.
        """
        return 0

    def consumed(self, size: int) -> int:
        """
        A stream's reader has taken octets.

        :param size: their flow-controlled length.
        :return: as for :meth:`increase_window_size`, which by default is asked.
        """
        return self.increase_window_size(size)

    def paused(self) -> None:
        """The stream's reader has paused. By default this changes nothing."""


class FlowControlManager(BaseFlowControlManager):
    """
    The default: credit once half a window is due, and a window that grows with its reader.

    A stream's window doubles, up to :attr:`largest_window`, each time its reader has consumed a
    whole window without a pause, so that a hundred readers that never read cost little and one
    that keeps up gets the throughput of a large window. A paused reader's window never grows.
    """

    __slots__ = ("_consumed", "_due", "window")

    #: No window grows above this.
    largest_window = 16 * 1024 * 1024

    def __init__(self, initial_window_size: int, document_size: int | None = None) -> None:
        super().__init__(initial_window_size, document_size)
        self.window = initial_window_size
        self._due = 0
        self._consumed = 0

    def increase_window_size(self, frame_size: int) -> int:
        """Nothing until half the window is due; then all that is due, and the growth earned."""
        self._due += frame_size
        self._consumed += frame_size
        if self._due * 2 < self.window:
            return 0
        credit = self._due
        self._due = 0
        if self._consumed >= self.window < self.largest_window:
            grown = min(self.window * 2, self.largest_window)
            credit += grown - self.window
            self.window = grown
            self._consumed = 0
        return credit

    def paused(self) -> None:
        """A pause starts the count for the next doubling anew."""
        self._consumed = 0


class FixedWindow(BaseFlowControlManager):
    """What the two policies below share: credit by the half window, and none beyond it."""

    __slots__ = ("_due", "window")

    def __init__(self, initial_window_size: int, document_size: int | None = None) -> None:
        super().__init__(initial_window_size, document_size)
        self.window = initial_window_size
        self._due = 0

    def increase_window_size(self, frame_size: int) -> int:
        """Nothing until half the window is due; then all that is due."""
        self._due += frame_size
        if self._due * 2 < self.window:
            return 0
        credit, self._due = self._due, 0
        return credit


class ConsumptionFlowControlManager(FixedWindow):
    """
    A window that never grows, credited when the reader has taken the octets.

    A stream holds at most its first window in memory, whatever its reader does, and its
    throughput is at most that window in each round trip. Subclass it with another
    ``initial_stream_window`` to choose.
    """

    __slots__ = ()


class ReceiptFlowControlManager(FixedWindow):
    """
    A window that never grows, credited when the octets have come.

    The peer never waits for a reader, so that *the window does not bound what a paused or absent
    reader holds in memory*: all of the body may be there. For readers that never pause, and for
    bodies that fit.
    """

    __slots__ = ()

    def received(self, size: int) -> int:
        """All that is due, once that is half the window."""
        return self.increase_window_size(size)

    def consumed(self, size: int) -> int:
        """Nothing: it has been credited."""
        return 0


def check_windows(window_manager: type[BaseFlowControlManager]) -> None:
    """
    Judge the windows that a class begins with, before anything is promised to a peer.

    :raises ValueError: RFC 9113 section 6.9 does not allow one of them.
    """
    for name, least in (
        ("initial_stream_window", 0),
        ("initial_connection_window", FIRST_CONNECTION_WINDOW),
    ):
        window = getattr(window_manager, name)
        if not least <= window <= MAX_WINDOW:
            raise ValueError(
                f"{window_manager.__name__}.{name} is {window}: RFC 9113 section 6.9 wants it "
                f"between {least} and {MAX_WINDOW}"
            )
