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
    "AutoTuningFlowControlManager",
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
    :ivar connection: a stream's instance finds the connection's here, which has None.
    """

    __slots__ = ("connection", "document_size", "initial_window_size")

    #: The window of every new stream, in octets: what its peer may send before its reader has
    #: taken anything. From 1 to 2^31-1; announced as SETTINGS_INITIAL_WINDOW_SIZE.
    initial_stream_window: ClassVar[int] = 256 * 1024
    #: The window of a new connection, in octets. From 65,535, which is what RFC 9113 section 6.9.2
    #: begins with and no setting lowers, to 2^31-1. It is paid at receipt, so that it bounds
    #: nothing but what is on its way; what bounds the memory is the number of streams times their
    #: windows.
    initial_connection_window: ClassVar[int] = 32 * 1024 * 1024
    #: Whether the connection's instance wants to know the round trip. PINGs are sent only then.
    measures_round_trip: ClassVar[bool] = False

    def __init__(self, initial_window_size: int, document_size: int | None = None) -> None:
        self.initial_window_size = initial_window_size
        self.document_size = document_size
        self.connection: BaseFlowControlManager | None = None

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

    def wants_round_trip(self) -> bool:
        """
        Whether to measure the round trip now, with a PING.

        The connection's instance is asked, if the class says :attr:`measures_round_trip`, before
        each read, unless a round trip is being measured.

        :return: by default True. Servers end connections that send many PINGs.
        """
        return True

    def round_trip(self, seconds: float, octets: int) -> None:
        """
        The round trip has been measured. By default this changes nothing.

        :param seconds: from the PING to its answer.
        :param octets: the flow-controlled length of what the connection received meanwhile, and
            for a quarter of the round trip longer: the answer may have overtaken some of it.
        """


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


class AutoTuningFlowControlManager(BaseFlowControlManager):
    """
    Windows that start at 65,535 octets and grow to what the path can carry.

    The connection's instance measures the bandwidth-delay product: the octets that come within the
    round trip of a PING are a sample. One that fills more than two thirds of the window, and came
    clearly faster than any before, says that the window was what held the peer back: it becomes
    twice the sample, up to :attr:`largest_window`. A window larger than the path can use only fills
    the queues on the way. It makes nothing faster, and so it stops growing. A stream's window
    follows the connection's while its reader keeps up; a paused or absent reader's never grows.

    It is sparing with PINGs, since servers end connections that send many. Never more than one is
    on its way. The next one waits until at least a third of the window has come since the last
    answer, and for twice as much each time that an answer brings no growth, up to :attr:`rarest`
    thirds. None is sent while no DATA comes, nor once the window is as large as it gets.
    """

    __slots__ = ("_came", "_due", "_fastest", "_spacing", "estimate", "window")

    initial_stream_window = FIRST_CONNECTION_WINDOW
    initial_connection_window = FIRST_CONNECTION_WINDOW
    measures_round_trip = True

    #: No window grows above this, in octets.
    largest_window = 16 * 1024 * 1024
    #: How much faster than any before a sample must be for the window to have been in the way.
    gain = 1.25
    #: What is left of the memory of the fastest sample each time that a full window came no faster:
    #: the path may have changed.
    fading = 0.98
    #: At most so many thirds of a window come between an answer and the next PING.
    rarest = 64

    connection: AutoTuningFlowControlManager | None

    def __init__(self, initial_window_size: int, document_size: int | None = None) -> None:
        super().__init__(initial_window_size, document_size)
        self.window = initial_window_size
        #: What the window is going to be, with the next credit.
        self.estimate = initial_window_size
        self._due = 0
        # Octets since the last answer; for a stream, since its reader's last pause.
        self._came = 0
        # Octets a second.
        self._fastest = 0.0
        # Thirds of a window between two PINGs.
        self._spacing = 1

    def increase_window_size(self, frame_size: int) -> int:
        """Nothing until a quarter of the window is due, or it is to grow; then all of that."""
        self._due += frame_size
        self._came += frame_size
        growth = self.estimate - self.window
        # By the half, as others do, half a window may lie here for ever while the other half is on
        # its way: no sample would fill two thirds.
        if self._due * 4 < self.window and not growth:
            return 0
        credit, self._due = self._due + growth, 0
        self.window = self.estimate
        return credit

    def consumed(self, size: int) -> int:
        """The same; a reader that has taken a window without a pause follows the connection."""
        if self._came >= self.window and self.connection is not None:
            self.estimate = max(self.window, self.connection.estimate)
        return self.increase_window_size(size)

    def paused(self) -> None:
        """A pause starts the count anew."""
        self._came = 0

    def wants_round_trip(self) -> bool:
        """Whether enough has come since the last one, and there is room to grow."""
        return (
            self._came * 3 >= self.estimate * self._spacing and self.estimate < self.largest_window
        )

    def round_trip(self, seconds: float, octets: int) -> None:
        """Grow, or ask more rarely."""
        self._came = 0
        # What is more than the window came in more than a round trip.
        octets = min(octets, self.estimate)
        rate = octets / max(seconds, 1e-6)
        is_full = octets * 3 > self.estimate * 2
        if is_full and rate > self._fastest * self.gain:
            self.estimate = max(self.estimate, min(octets * 2, self.largest_window))
            self._fastest = rate
            self._spacing = 1
        else:
            if is_full:
                self._fastest *= self.fading
            self._spacing = min(self._spacing * 2, self.rarest)


def check_windows(window_manager: type[BaseFlowControlManager]) -> None:
    """
    Judge the windows that a class begins with, before anything is promised to a peer.

    :raises ValueError: RFC 9113 section 6.9 does not allow one of them.
    """
    for name, least in (
        # Without any window nothing would come that could be credited.
        ("initial_stream_window", 1),
        ("initial_connection_window", FIRST_CONNECTION_WINDOW),
    ):
        window = getattr(window_manager, name)
        if not least <= window <= MAX_WINDOW:
            raise ValueError(
                f"{window_manager.__name__}.{name} is {window}: RFC 9113 section 6.9 wants it "
                f"between {least} and {MAX_WINDOW}"
            )
