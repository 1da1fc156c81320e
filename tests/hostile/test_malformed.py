"""Malformed messages, and a broken protocol: each fails whom it must, and nobody else."""

from __future__ import annotations

from tests.hostile.attack import MemoryTestCase
from tests.hostile.cases import BROKEN, MALFORMED, meets


@meets(MALFORMED)
class MalformedTests(MemoryTestCase):
    """
    A malformed message fails its own stream (RFC 9113 section 8.1.1): its user is told once, with
    the server's name, the stream and the code; one RST_STREAM goes out, and the neighbour finishes.
    """


@meets(BROKEN)
class BrokenTests(MemoryTestCase):
    """
    An error of the connection stays one: everybody on it is told, each once, and one GOAWAY says
    why.
    """
