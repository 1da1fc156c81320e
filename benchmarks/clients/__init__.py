"""
Who asks: one small module for each client, all with the interface of ``base.py``.

Nothing is imported here, so that a measured process imports one client's library and no other.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Known:
    """A client that can be measured."""

    name: str
    module: str
    #: The package that must be installed, or None.
    package: str | None
    #: How many requests it makes, in proportion to a fast one, so that all take about a second.
    scale: float = 1.0
    #: What a program that uses it imports.
    imports: str | None = None
    #: Speaks HTTP/1.1.
    is_http1: bool = False
    #: Asked for by name only.
    is_extra: bool = False
    #: Workloads that it cannot do, with the reason.
    cannot: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


CLIENTS = {
    known.name: known
    for known in (
        Known("txhyper", "txhyper", None, imports="import txhyper"),
        Known("pycurl", "pycurl", "pycurl", imports="import pycurl"),
        Known(
            "h2load", "h2load", None, scale=5.0,
            cannot={"W6": "its memory says nothing of a client's"},
        ),
        Known("scrapy", "scrapy", "scrapy", scale=0.1,
              imports="import scrapy.core.downloader.handlers.http2"),
        Known(
            "niquests", "niquests", "niquests", scale=0.1, imports="import niquests",
            cannot={
                "W2-10": "no parallel bodies piece by piece",
                "W2-100": "no parallel bodies piece by piece",
            },
        ),
        Known("httpx", "httpx", "httpx", scale=0.1, imports="import httpx, h2.connection"),
        Known("twisted-h1-2", "twisted_h1_few", None, scale=0.25, is_http1=True,
              imports="import twisted.web.client, h2.connection"),
        Known("twisted-h1-100", "twisted_h1_many", None, scale=0.25, is_http1=True),
        Known("txhyper-py", "txhyper", None, is_extra=True, imports="import txhyper",
              environment={"TXHYPER_HPACK": "python"}),
    )
}  # fmt: skip
