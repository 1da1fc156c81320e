"""
The client that :mod:`benchmarks.hostile` has servers misbehave to; a job in JSON is its argument.

Answers one request as a rehearsal, looks how large it is, then has a hundred open. What fails is
not asked for again, but by the agent itself. Prints one line of JSON.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
from collections import Counter
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from txhyper import Agent, ConnectionPool

from .child import forget_peak, peak, resident

REQUESTS = 100


class Reader(Protocol):
    """Counts the octets, and lets them go."""

    octets = 0
    reading = 0

    def __init__(self, outcomes: Counter[str]) -> None:
        self._outcomes = outcomes
        Reader.reading += 1

    def dataReceived(self, data: bytes) -> None:
        Reader.octets += len(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        Reader.reading -= 1
        done = reason.check(ResponseDone) is not None
        self._outcomes["whole" if done else "body: " + cause(reason)] += 1


def cause(reason: Failure) -> str:
    """The name of what is behind a failure."""
    inner = getattr(reason.value, "reasons", None)
    error = inner[0].value if inner else reason.value
    bound = getattr(error, "bound", None)
    return type(error).__name__ + (f" ({bound})" if bound else "")


async def work(job: dict[str, Any]) -> dict[str, Any]:
    """Meet the server."""
    how = job["how"]
    pool = ConnectionPool(reactor, enablePush=how == "push")  # type: ignore[arg-type]
    agent = Agent(reactor, pool=pool, protocols=[b"h2c", b"http/1.1"])
    uri = b"http://127.0.0.1:%d/" % job["port"]
    await agent.request(b"GET", uri)
    outcomes: Counter[str] = Counter()
    kept: list[Any] = []
    waiting = [0]

    def responded(response: Any) -> None:
        waiting[0] -= 1
        if how == "keep":
            kept.append(response)
            outcomes["kept"] += 1
        elif how == "decode":
            response._read(Reader(outcomes), True, False)
        else:
            response.deliverBody(Reader(outcomes))

    def failed(reason: Failure) -> None:
        waiting[0] -= 1
        outcomes[cause(reason)] += 1

    gc.collect()
    idle = resident()
    forget_peak()
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(REQUESTS):
        waiting[0] += 1
        agent.request(b"GET", uri).addCallbacks(responded, failed)
    await deferLater(reactor, job["seconds"], lambda: None)  # type: ignore[arg-type]
    after = resource.getrusage(resource.RUSAGE_SELF)
    outcomes["open"] = waiting[0]
    outcomes["open, in their bodies"] = Reader.reading
    return {
        "growth": max(0, peak() - idle),
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "read": Reader.octets,
        "outcomes": {what: number for what, number in outcomes.items() if number},
    }


def main(argument: str) -> None:
    """Do the job, and print what it took."""

    def done(result: Any) -> None:
        if isinstance(result, Failure):
            result.printTraceback(sys.stderr)
        else:
            sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
        reactor.stop()  # type: ignore[attr-defined]

    reactor.callWhenRunning(  # type: ignore[attr-defined]
        lambda: Deferred.fromCoroutine(work(json.loads(argument))).addBoth(done)
    )
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(sys.argv[1])
