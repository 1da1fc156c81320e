"""
Twisted's own web server over TLS: ``CERTIFICATE KEY DIRECTORY [PROTOCOL]``; prints ``READY port``.

With ``http/1.1`` for the protocol it offers that alone. Twisted web has no interface for
informational responses and for trailers: over HTTP/1.1 these resources write them by hand.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.ssl import PrivateCertificate
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from twisted.web.static import File

from tests.interop.bodies import MEBIBYTE, blocks, digest

LINKS = (b"</style.css>; rel=preload; as=style", b"</script.js>; rel=preload; as=script")


class Upload(Resource):
    """Answers with the number of octets that came and their SHA-256."""

    isLeaf = True

    def render_POST(self, request: http.Request) -> bytes:
        count, sha = 0, hashlib.sha256()
        while octets := request.content.read(MEBIBYTE):
            count += len(octets)
            sha.update(octets)
        return f"{count} {sha.hexdigest()}".encode()


def hint(request: http.Request, *links: bytes) -> None:
    """Write a 103 by hand."""
    lines = [b"link: %b\r\n" % link for link in links]
    request.channel.writeSequence([b"HTTP/1.1 103 Early Hints\r\n", *lines, b"\r\n"])


class Hints(Resource):
    """Sends hints, and its response when somebody asks for the resource that it carries."""

    isLeaf = True

    def render_GET(self, request: http.Request) -> int:
        hint(request, *LINKS)
        self.request = request
        return NOT_DONE_YET

    def release(self) -> None:
        self.request.write(b"after the hints")
        self.request.finish()


class Release(Resource):
    """Lets a request go on that has had its hints."""

    isLeaf = True

    def __init__(self, hints: Hints) -> None:
        super().__init__()
        self.hints = hints

    def render_GET(self, request: http.Request) -> bytes:
        self.hints.release()
        request.setResponseCode(http.NO_CONTENT)
        return b""


class Informational(Resource):
    """Sends three informational responses before its own."""

    isLeaf = True

    def render_GET(self, request: http.Request) -> bytes:
        request.channel.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        for link in LINKS:
            hint(request, link)
        return b"after three"


class Trailers(Resource):
    """Sends a mebibyte, and its digest behind it."""

    isLeaf = True

    def render_GET(self, request: http.Request) -> int:
        for block in blocks(MEBIBYTE):
            request.write(block)
        # The last chunk is not Twisted's to write then.
        request.chunked = False
        request.channel.write(b"0\r\nx-sha256: %b\r\n\r\n" % digest(MEBIBYTE).encode())
        request.finish()
        return NOT_DONE_YET


class HTTP11Site(Site):
    """A site that offers HTTP/1.1 in the handshake, and nothing else."""

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]


def main(certificate: str, key: str, directory: str, protocol: str = "h2") -> None:
    if not http.H2_ENABLED:
        raise SystemExit("this Twisted has no HTTP/2 server: is the package priority missing?")
    pem = Path(certificate).read_bytes() + Path(key).read_bytes()
    root = File(directory)
    hints = Hints()
    root.putChild(b"upload", Upload())
    root.putChild(b"hints", hints)
    root.putChild(b"release", Release(hints))
    root.putChild(b"informational", Informational())
    root.putChild(b"trailers", Trailers())
    site = HTTP11Site(root) if protocol == "http/1.1" else Site(root)
    options = PrivateCertificate.loadPEM(pem).options()
    port = reactor.listenSSL(0, site, options, interface="127.0.0.1")
    sys.stdout.write(f"READY {port.getHost().port}\n")
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
