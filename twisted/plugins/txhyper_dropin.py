"""
Tells ``twist`` and ``twistd`` that there is a ``hyperfetch``.

Every start of either imports this file, so it names the module that does the work and imports
neither that module nor a reactor.
"""

from twisted.application.service import ServiceMaker

hyperfetch = ServiceMaker(
    "txhyper hyperfetch",
    "txhyper.cli.service",
    "Fetch a URL over HTTP/2 and write its body to standard output.",
    "hyperfetch",
)
