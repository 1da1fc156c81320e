"""What the clients are asked to do: a table, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * 1024

#: The files that nghttpd and nginx serve, by name and size.
FILES = {"small": 100, "medium": 64 * KIB, "ten": 10 * MIB, "large": 100 * MIB}
#: What Node answers to ``/small``.
NODE_SMALL = 100


@dataclass(frozen=True)
class Workload:
    """One line of the table, for every client."""

    key: str
    title: str
    #: What the figures are in, with ``factor`` of it to a second per unit (KiB: to a byte).
    unit: str
    factor: float
    #: ``fetch``; ``cold``, with a new client for each request; ``waiting``; ``import``.
    kind: str = "fetch"
    #: ``files`` or ``node``.
    site: str = "files"
    path: str = "/small"
    #: The length of each answer.
    size: int = FILES["small"]
    #: How many requests a fast client makes. A slow one makes fewer, but not fewer than ``least``.
    count: int = 1
    least: int = 1
    concurrency: int = 1
    warm_up: int = 1
    warm_up_path: str | None = None
    #: A new path for each request.
    is_varied: bool = False
    #: Octets that each request sends.
    upload: int = 0
    #: Octets that one unit has; 0: a unit is a request.
    per_octets: int = 0
    #: Bodies are too large to be collected: they are taken piece by piece.
    is_streamed: bool = False
    #: Of the two HTTP/1.1 clients, which make sense: both, one with few connections, or none.
    http1: tuple[str, ...] = ("twisted-h1-2",)

    def units(self, count: int) -> float:
        """How many units so many requests are."""
        octets = self.upload or self.size
        return count * octets / self.per_octets if self.per_octets else count

    def scaled(self, scale: float, is_quick: bool) -> int:
        """How many requests a client makes whose scale this is."""
        count = max(self.least, round(self.count * scale))
        if is_quick and self.kind != "waiting":
            count //= 10
        return max(self.concurrency, count)


BOTH = ("twisted-h1-2", "twisted-h1-100")
_SMALL = "µs per request"
_LARGE = "ms per 100 MiB"


def _growing(key: str, concurrency: int) -> Workload:
    title = f"small GETs, one connection, {concurrency:,} at a time"
    return Workload(
        key, title, _SMALL, 1e6, count=20_000, least=2_000, concurrency=concurrency,
        warm_up=concurrency, http1=(),
    )  # fmt: skip


def _parallel(key: str, concurrency: int) -> Workload:
    return Workload(
        key, f"10 MiB down, {concurrency} at a time", _LARGE, 1e3,
        path="/ten", size=FILES["ten"], per_octets=100 * MIB, is_streamed=True,
        count=max(20, concurrency), least=max(10, concurrency), concurrency=concurrency, http1=(),
    )  # fmt: skip


WORKLOADS = {
    workload.key: workload
    for workload in (
        Workload(
            "W1", "small GETs, one connection, 100 at a time, the same path", _SMALL, 1e6,
            count=20_000, least=1_000, concurrency=100, warm_up=200, http1=BOTH,
        ),
        Workload(
            "W1p", "the same, a new path each", _SMALL, 1e6,
            count=20_000, least=1_000, concurrency=100, warm_up=200, http1=BOTH, is_varied=True,
        ),
        Workload(
            "W1u", "the same, every answer has a unique field", _SMALL, 1e6,
            site="node", size=NODE_SMALL,
            count=10_000, least=1_000, concurrency=100, warm_up=200, http1=BOTH,
        ),
        Workload(
            "W1s", "small GETs, one after the other", _SMALL, 1e6,
            count=4_000, least=500, warm_up=50,
        ),
        Workload(
            "W2", "100 MiB down", _LARGE, 1e3,
            path="/large", size=FILES["large"], per_octets=100 * MIB, is_streamed=True,
            count=4, warm_up_path="/ten",
        ),
        Workload(
            "W3", "100 MiB up", _LARGE, 1e3,
            site="node", path=f"/upload/{100 * MIB}", size=0, upload=100 * MIB,
            per_octets=100 * MIB, count=2, warm_up_path=f"/upload/{MIB}",
        ),
        Workload(
            "W4", "1,000 answers of 64 KiB, one connection, 100 at a time", "µs per answer", 1e6,
            path="/medium", size=FILES["medium"],
            count=1_000, least=1_000, concurrency=100, warm_up=100, http1=BOTH,
        ),
        Workload(
            "W5", "200 cold TLS connections, a new client and one small GET each",
            "ms per connection", 1e3, kind="cold", count=200, least=200, warm_up=3,
        ),
        Workload(
            "W6", "memory of a request that waits, 1,000 at a time", "KiB per request", 1 / KIB,
            kind="waiting", site="node", path="/hold", size=NODE_SMALL,
            count=1_000, least=1_000, concurrency=1_000, warm_up=20, warm_up_path="/small",
            http1=(),
        ),
        Workload("import", "importing it", "ms", 1e3, kind="import", http1=("twisted-h1-2",)),
        _growing("W1-10", 10),
        _growing("W1-1000", 1_000),
        _parallel("W2-1", 1),
        _parallel("W2-10", 10),
        _parallel("W2-100", 100),
    )
}  # fmt: skip

#: Workloads that differ in one number, to see how the cost grows with it.
GROWTH = (("W1-10", "W1", "W1-1000"), ("W2-1", "W2-10", "W2-100"))
#: How much dearer the dearest of a row may be than the cheapest.
GROWTH_GOAL = 1.15

#: What txhyper's CPU is meant to be at most, in units of that of others.
GOALS: dict[str, dict[str, float]] = {
    "W1": {"httpx": 0.025, "scrapy": 0.055, "twisted-h1": 0.09, "pycurl": 1.2},
    "W1p": {"httpx": 0.025, "scrapy": 0.055, "twisted-h1": 0.09, "pycurl": 1.2},
    "W1u": {"httpx": 0.05, "scrapy": 0.10, "twisted-h1": 0.17, "pycurl": 2.0},
    "W1s": {"httpx": 0.16, "scrapy": 0.24, "twisted-h1": 0.45, "pycurl": 1.4},
    "W2": {"httpx": 0.15, "scrapy": 0.17, "twisted-h1": 1.2, "pycurl": 1.4},
    "W3": {"httpx": 0.26, "scrapy": 0.45, "twisted-h1": 1.25, "pycurl": 1.5},
    "W4": {"httpx": 0.07, "scrapy": 0.10, "twisted-h1": 0.20, "pycurl": 1.3},
    "W5": {"httpx": 0.45, "scrapy": 0.55, "twisted-h1": 0.80, "pycurl": 1.9},
}
#: KiB that a waiting request may take.
MEMORY_GOAL = 3.0
#: MiB that a process may grow by while it transfers 100 MiB.
TRANSFER_GOAL = 4.0
#: Seconds that importing txhyper may take beyond ``twisted.web.client`` and ``h2.connection``.
IMPORT_GOAL = 0.040
