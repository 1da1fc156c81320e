"""
PINGs on their way, and who waits for the answers (RFC 9113 section 6.7).

Owns the payloads in use. Sends nothing: it hands out a payload, and is told what came back.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

__all__ = ["Pings"]


class Pings:
    """The PINGs of one connection that have not been answered."""

    __slots__ = ("_sent", "_serial")

    def __init__(self) -> None:
        self._serial = 0
        self._sent: dict[bytes, tuple[Deferred[float], float]] = {}

    def begin(self, now: float) -> tuple[bytes, Deferred[float]]:
        """
        :return: 8 octets that no other PING carries, and a Deferred of the seconds until they
            come back. Cancelling it forgets the PING.
        """
        self._serial += 1
        payload = self._serial.to_bytes(8, "big")

        def forget(deferred: Deferred[float]) -> None:
            self._sent.pop(payload, None)

        deferred: Deferred[float] = Deferred(forget)
        self._sent[payload] = (deferred, now)
        return payload, deferred

    def answered(self, payload: bytes, now: float) -> None:
        """An acknowledgement has come; one that nobody waits for is ignored."""
        if payload in self._sent:
            deferred, sent = self._sent.pop(payload)
            deferred.callback(now - sent)

    def fail(self, error: Exception) -> None:
        """No answer will come."""
        # One after another: whoever is told may cancel the others.
        while self._sent:
            deferred, _ = self._sent.pop(next(iter(self._sent)))
            deferred.errback(error)
