"""
h2load: nghttp2's load generator, as a floor.

It is a program in C that throws its answers away and verifies no certificate. Its figures are those
of a run less those of a run with one request.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from .base import Job


def measured(job: Job) -> dict[str, float]:
    """Do the job and tell what it took."""
    with tempfile.TemporaryDirectory() as directory:
        source = [job.origin + job.path]
        if job.is_varied:
            urls = Path(directory) / "urls"
            lines = (f"{job.origin}{job.path}?n={i}\n" for i in range(job.count))
            urls.write_text("".join(lines), encoding="ascii")
            source = ["-i", str(urls)]
        elif job.upload:
            source = ["-d", job.upload_file, *source]
        clients = job.count if job.kind == "cold" else 1
        zero = _run(job, ["-n", "1", "-c", "1", "-m", "1"], _zero(job, source), 1)
        streams = str(1 if job.kind == "cold" else job.concurrency)
        options = ["-n", str(job.count), "-c", str(clients), "-m", streams]
        full = _run(job, options, source, job.count)
    return {name: max(0.0, full[name] - zero[name]) for name in full}


def _zero(job: Job, source: list[str]) -> list[str]:
    """What the run with one request asks for: never a large body."""
    if job.upload:
        return [job.origin + "/small"]
    if job.is_streamed:
        return [job.origin + "/small"]
    return source


def _run(job: Job, options: list[str], source: list[str], count: int) -> dict[str, float]:
    began = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(["h2load", *options, *source], stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - began
        output.seek(0)
        said = output.read().decode(errors="replace")
    codes = re.search(r"status codes: (\d+) 2xx", said)
    octets = re.search(r"\((\d+)\) data", said)
    if process.returncode or codes is None or octets is None or int(codes.group(1)) != count:
        raise RuntimeError(f"h2load: {said}")
    if source == [job.origin + job.path] and int(octets.group(1)) != count * job.size:
        raise RuntimeError(f"h2load: {octets.group(1)} octets in place of {count * job.size}")
    return {"user": usage.ru_utime, "system": usage.ru_stime, "wall": wall}
