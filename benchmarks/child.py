"""
One measured process: one client does one workload, once.

Started by ``measure.py`` with a job in JSON as its only argument; prints one line of JSON. Imports
as little as it can, so that what a client's figures hold is the client's own.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import sys
import time
from typing import Any

from .clients.base import Batch, Client, Job


class Meter:
    """Measures what happens inside its ``with``."""

    def __init__(self, wants_profile: bool) -> None:
        self.result: dict[str, float] = {}
        self.profile: Any = None
        if wants_profile:
            import cProfile

            self.profile = cProfile.Profile()

    def __enter__(self) -> None:
        gc.collect()
        self._resident = resident()
        forget_peak()
        if self.profile is not None:
            self.profile.enable()
        self._usage = resource.getrusage(resource.RUSAGE_SELF)
        self._wall = time.perf_counter()

    def __exit__(self, *ignored: object) -> None:
        wall = time.perf_counter() - self._wall
        usage = resource.getrusage(resource.RUSAGE_SELF)
        if self.profile is not None:
            self.profile.disable()
        self.result = {
            "user": usage.ru_utime - self._usage.ru_utime,
            "system": usage.ru_stime - self._usage.ru_stime,
            "wall": wall,
            "resident": self._resident,
            "growth": max(0, peak() - self._resident),
        }

    def print_profile(self) -> None:
        """The functions that took most, on standard error."""
        if self.profile is not None:
            import pstats

            pstats.Stats(self.profile, stream=sys.stderr).sort_stats("tottime").print_stats(30)


def resident(process: int | str = "self") -> int:
    """How many octets of a process are in memory."""
    with open(f"/proc/{process}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def forget_peak() -> None:
    """Begin the search for the greatest size anew; not every container allows that."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as clear:
            clear.write("5")
    except OSError:
        pass


def peak() -> int:
    """How many octets of this process were in memory at most."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def ballast() -> list[bytes]:
    """
    Octets for all the room that the imports have left free.

    Without it the first megabytes of what is measured would go where the process is large already.
    """
    sizes = [*range(16, 512, 16), *range(512, 4096, 256)]
    # 33 octets are the head of a bytes object.
    return [bytes(max(0, size - 33)) for size in sizes for _ in range((1 << 20) // size)]


async def work(client: Client, job: Job, meter: Meter) -> None:
    """Do the job; each client's own loop runs this."""
    batch = client.batch(job)
    if job.kind == "cold":
        for url in client.batch(job, count=job.warm_up).urls:
            await visit(client, url, job)
        with meter:
            for url in batch.urls:
                await visit(client, url, job)
        return
    await client.open()
    await client.fetch(client.batch(job, path=job.warm_up_path, count=job.warm_up))
    filled = ballast() if job.kind == "waiting" else []
    with meter:
        await client.fetch(batch)
    filled.clear()
    await client.close()


async def visit(client: Client, url: Any, job: Job) -> None:
    """One request by a client that is new, and closed afterwards."""
    await client.open()
    await client.fetch(Batch([url], 1, job.size))
    await client.close()


def main(argument: str) -> None:
    """Do the job that the argument describes, and print what it took."""
    job = Job(**json.loads(argument))
    os.sched_setaffinity(0, set(job.cores))
    module = importlib.import_module(f"benchmarks.clients.{job.module}")
    if hasattr(module, "measured"):
        result = module.measured(job)
    else:
        client: Client = module.Client(job)
        meter = Meter(job.profile)
        client.run(lambda: work(client, job, meter))
        if not meter.result:
            raise SystemExit("the client's loop ended before the work was done")
        meter.print_profile()
        result = meter.result
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
