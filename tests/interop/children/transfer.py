"""
One large transfer, to see what it takes of memory: ``CAFILE METHOD URL SIZE WARM_UP``.

With GET it reads what is at the URL, with any other method it sends a body of SIZE octets there,
which an iterable makes as it goes; in both cases it keeps nothing of what comes but the digest.
Before that it gets the WARM_UP URL. Prints one JSON object: the peak of memory, in octets, after
that small request and after the transfer; the status, the length and the SHA-256 of the answer.

This needs a process of its own, and the ``/proc`` of Linux: there the account of a process begins
when its program is loaded, and not with the memory of whoever has started it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.web.client import readBody

from tests.interop.bodies import blocks
from tests.interop.fetching import digestOf
from txhyper import Agent, Request
from txhyper.client.tls import policyTrusting


def peak() -> int:
    """The largest resident set that this process has had, in octets."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


async def transfer(caFile: str, method: str, url: str, size: str, warmUp: str) -> dict[str, Any]:
    agent = Agent(reactor, policyTrusting(Path(caFile).read_bytes()))
    await readBody(await agent.send(Request(b"GET", warmUp.encode())))
    idle = peak()
    body = None if method == "GET" else blocks(int(size))
    response = await agent.send(Request(method.encode(), url.encode(), None, body))
    count, sha256 = await digestOf(response)
    told = {
        "version": response.version[1],
        "status": response.code,
        "count": count,
        "sha256": sha256,
        "idle": idle,
        "peak": peak(),
    }
    await agent.close()
    return told


def main(reactor: Any, *arguments: str) -> Deferred[None]:
    done = Deferred.fromCoroutine(transfer(*arguments))
    done.addCallback(lambda told: sys.stdout.write(json.dumps(told)))
    return done


if __name__ == "__main__":
    react(main, sys.argv[1:])
