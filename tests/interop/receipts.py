"""
How each server tells what it got of an upload.

Owns one mixin per way: a server of ours counts and digests, nghttpd sends everything back, nginx
keeps it in a file. Each knows where an upload goes, and what proves that it arrived.
"""

from __future__ import annotations

import hashlib

from . import bodies
from .launchers import Launcher

#: A status, and the length and the SHA-256 of the body that came with it.
Answer = tuple[int, int, str]


class Counting:
    """The server answers with the number of octets that came and their SHA-256."""

    method = b"POST"

    def target(self, name: str) -> str:
        """The path to which the upload of this name goes."""
        return "/upload"

    def checkReceipt(self, name: str, size: int, answer: Answer) -> None:
        """The server has got the body of this size, octet for octet."""
        told = f"{size} {bodies.digest(size)}".encode()
        self.assertEqual(answer, (200, len(told), hashlib.sha256(told).hexdigest()))


class Echoing(Counting):
    """The server sends back what came."""

    def checkReceipt(self, name: str, size: int, answer: Answer) -> None:
        self.assertEqual(answer, (200, size, bodies.digest(size)))


class Storing:
    """The server writes what came into a file."""

    method = b"PUT"
    server: Launcher

    def target(self, name: str) -> str:
        """The path to which the upload of this name goes."""
        return f"/stored/{name}"

    def checkReceipt(self, name: str, size: int, answer: Answer) -> None:
        """The file that is there now holds the body of this size, octet for octet."""
        status, _, _ = answer
        self.assertIn(status, (201, 204))
        sha = hashlib.sha256()
        with self.server.stored(name).open("rb") as file:
            while octets := file.read(bodies.MEBIBYTE):
                sha.update(octets)
        self.assertEqual(sha.hexdigest(), bodies.digest(size))
