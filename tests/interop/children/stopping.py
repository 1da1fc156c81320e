"""
A client that stops its reactor in the middle of everything.

Prints one line for each request, with what became of it, and one with the timers that are left; the
test reads them. The server is in the same process, and stops with it.
"""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from txhyper import Agent
from txhyper.client.tls import policyTrusting
from txhyper.testing.server import DemoServer


def note(name: str, result: object) -> None:
    """Print what became of a request."""
    if isinstance(result, Failure):
        reasons = getattr(result.value, "reasons", [result])
        result = reasons[0].value
    sys.stdout.write(f"{name}: {type(result).__name__}: {result}\n")


class Reader(Protocol):
    """A body; when it has begun, everything stops."""

    def dataReceived(self, data: bytes) -> None:
        """It has begun."""
        if reactor.running:
            reactor.callLater(0, reactor.stop)

    def connectionLost(self, reason: Failure) -> None:
        """It is over."""
        note("body", reason)


async def main() -> None:
    """Begin everything."""
    server = DemoServer(reactor)
    await server.start()
    agent = Agent(reactor, policyTrusting(server.authority.pem), connectTimeout=60)
    warm = await agent.request(b"GET", server.url("/get").encode())
    await warm.read()
    for name, url in (
        ("headers", server.url("/delay/9")),
        # An address for documentation, where nobody is (RFC 5737).
        ("dialling", "http://192.0.2.1/"),
    ):
        agent.request(b"POST", url.encode()).addBoth(lambda it, name=name: note(name, it))
    response = await agent.request(b"GET", server.url("/drip?numbytes=9&duration=9").encode())
    response.deliverBody(Reader())


Deferred.fromCoroutine(main()).addErrback(lambda failure: failure.printTraceback())
reactor.run()
sys.stdout.write(f"timers: {len(reactor.getDelayedCalls())}\n")
