"""Twisted's own web server over TLS: ``CERTIFICATE KEY DIRECTORY``; prints ``READY port``."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.ssl import PrivateCertificate
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import File


class Upload(Resource):
    """Answers with the number of octets that came and their SHA-256."""

    isLeaf = True

    def render_POST(self, request: http.Request) -> bytes:
        octets = request.content.read()
        return f"{len(octets)} {hashlib.sha256(octets).hexdigest()}".encode()


def main(certificate: str, key: str, directory: str) -> None:
    if not http.H2_ENABLED:
        raise SystemExit("this Twisted has no HTTP/2 server: is the package priority missing?")
    pem = Path(certificate).read_bytes() + Path(key).read_bytes()
    root = File(directory)
    root.putChild(b"upload", Upload())
    options = PrivateCertificate.loadPEM(pem).options()
    port = reactor.listenSSL(0, Site(root), options, interface="127.0.0.1")
    sys.stdout.write(f"READY {port.getHost().port}\n")
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
