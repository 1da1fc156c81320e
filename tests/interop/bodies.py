"""
The octets that every server serves, and the digests they must arrive with.

Owns one endless, fixed sequence of octets: a body of N octets is the first N of them. Each block
starts with its own number, so a block lost, doubled or swapped changes the digest, and every
octet value occurs, so anything that translates text shows. ``children/node_server.js`` spells
the same sequence in JavaScript; the digests are what holds the two together.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

BLOCK = 64 * 1024
FILLER = bytes((i * 7 + i // 256) % 256 for i in range(BLOCK - 8))

MEBIBYTE = 1024 * 1024
#: The sizes that each server is asked for.
SIZES = (0, 100, MEBIBYTE, 20 * MEBIBYTE, 100 * MEBIBYTE)
#: How many requests the concurrency tests send; request number N asks for a body of N octets.
CONCURRENT = 200


def blocks(size: int) -> Iterator[bytes]:
    """The body of ``size`` octets, a block at a time."""
    number = 0
    while size > 0:
        block = b"%08x" % number + FILLER
        yield block[:size]
        size -= BLOCK
        number += 1


def body(size: int) -> bytes:
    """The body of ``size`` octets in one piece: for the small ones."""
    return b"".join(blocks(size))


@functools.cache
def digest(size: int) -> str:
    """The SHA-256 of the body of ``size`` octets, in hexadecimal."""
    sha = hashlib.sha256()
    for block in blocks(size):
        sha.update(block)
    return sha.hexdigest()


@functools.cache
def directory() -> Path:
    """
    A directory with one file per body, named by its size: for the servers that serve files.

    Made once, when the first server needs it, and removed when the test run ends.
    """
    path = Path(tempfile.mkdtemp(prefix="txhyper-bodies-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    path.chmod(0o755)
    for size in sorted({*SIZES, *range(1, CONCURRENT + 1)}):
        with (path / str(size)).open("wb") as file:
            file.writelines(blocks(size))
    return path
