"""
The rounds: starts one process for each client, workload and round, and collects what they say.

Owns the cores: the first one that this process may use is the clients', the last one is the
servers'. Nothing else is measured here than the memory of waiting requests, which only somebody
outside can see while they wait.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from txhyper.core.hpack import coder_name

from .child import resident
from .clients import CLIENTS, Known
from .clients.base import Job
from .servers import Nghttpd, Nginx, Node, ServerFailed, Servers, find_node, find_program
from .workloads import WORKLOADS, Workload

ROOT = Path(__file__).parents[1]
#: Seconds that one measured process may take.
LIMIT = 300.0

Say = Callable[[str], None]


class ClientFailed(Exception):
    """A measured process did not do its work."""


class Measurement:
    """
    All rounds of some workloads with some clients.

    :ivar results: what is written as JSON; after each workload it is complete so far.
    """

    def __init__(
        self,
        workloads: Sequence[Workload],
        clients: Sequence[Known],
        *,
        rounds: int,
        quick: bool,
        files: str | None,
        say: Say,
    ) -> None:
        """
        :param files: the server of the files for all clients, ``nginx``; None: nghttpd for those
            that speak HTTP/2.
        :param say: is told how far it is.
        """
        cores = sorted(os.sched_getaffinity(0))
        self.core, self.server_core = cores[0], cores[-1]
        self.workloads = workloads
        self.clients = clients
        self.rounds = rounds
        self.quick = quick
        self.files = files
        self.say = say
        if self.core == self.server_core:
            say("there is one core only: clients and servers share it")
        self.results: dict[str, Any] = {
            "rounds": rounds,
            "quick": quick,
            "machine": machine(len(cores)),
            "workloads": {},
        }

    def run(self, save: Callable[[dict[str, Any]], None]) -> None:
        """
        Measure everything.

        :param save: called with the results after each workload.
        """
        with Servers({self.server_core}) as servers:
            self.servers = servers
            for workload in self.workloads:
                self.results["workloads"][workload.key] = self._workload(workload)
                save(self.results)

    def profile(self) -> None:
        """Have each client's profile printed on standard error, once for each workload."""
        with Servers({self.server_core}) as servers:
            self.servers = servers
            for workload in self.workloads:
                for known in self.clients:
                    reason = self._unable(workload, known)
                    if reason is None:
                        self.say(f"{workload.key} {known.name}")
                        job = self._job(workload, known)
                        job["profile"] = True
                        finish(self._start(known, job, stderr=None))

    def _workload(self, workload: Workload) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        skipped: dict[str, str] = {}
        able = []
        for known in self.clients:
            reason = self._unable(workload, known)
            if reason is None:
                able.append(known)
                entries[known.name] = {"rounds": []}
            else:
                skipped[known.name] = reason
        for number in range(self.rounds):
            # Another one begins each round, so that no client always follows the same one.
            turn = number % max(1, len(able))
            for known in able[turn:] + able[:turn]:
                if known.name in skipped:
                    continue
                self.say(f"{workload.key} round {number + 1} of {self.rounds}: {known.name}")
                try:
                    entries[known.name]["rounds"].append(self._once(workload, known))
                except (ClientFailed, ServerFailed) as error:
                    skipped[known.name] = str(error)
                    self.say(f"{known.name}: {error}")
        return {
            "title": workload.title,
            "clients": {name: entry for name, entry in entries.items() if name not in skipped},
            "skipped": skipped,
        }

    def _unable(self, workload: Workload, known: Known) -> str | None:
        """Why this client does not do this workload, or None."""
        if known.is_http1 and known.name not in workload.http1:
            return "not for HTTP/1.1"
        if workload.kind == "import" and known.imports is None:
            return "nothing to import"
        if workload.key in known.cannot:
            return known.cannot[workload.key]
        if known.package is not None and importlib.util.find_spec(known.package) is None:
            return "not installed"
        if known.name == "h2load" and find_program("h2load") is None:
            return "not installed"
        return None

    def _once(self, workload: Workload, known: Known) -> dict[str, float]:
        if workload.kind == "import":
            return self._import(known)
        job = self._job(workload, known)
        units = workload.units(job["count"])
        if workload.kind == "waiting":
            return self._waiting(workload, known, job)
        result = finish(self._start(known, job))
        return {
            "cpu": (result["user"] + result["system"]) / units,
            "system": result["system"] / units,
            "wall": result["wall"] / units,
            "growth": result.get("growth", 0.0),
            "count": job["count"],
        }

    def _job(self, workload: Workload, known: Known) -> dict[str, Any]:
        kind = Node if workload.site == "node" else Nginx if known.is_http1 else Nghttpd
        if workload.site == "files" and self.files == "nginx":
            kind = Nginx
        job = Job(
            module=known.module,
            kind=workload.kind,
            origin=self.servers.get(kind).origin,
            path=workload.path,
            size=workload.size,
            count=workload.scaled(known.scale, self.quick),
            concurrency=workload.concurrency,
            warm_up=workload.warm_up,
            warm_up_path=workload.warm_up_path or workload.path,
            is_varied=workload.is_varied,
            is_streamed=workload.is_streamed,
            upload=workload.upload,
            upload_file=str(self.servers.upload),
            ca=str(self.servers.ca),
            cores=[self.core],
        )
        return asdict(job)

    def _environment(self, known: Known) -> dict[str, str]:
        """The clients' environment: no proxies, and our authority in place of the system's."""
        kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        for name in ("PYTHONPROFILEIMPORTTIME", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            kept.pop(name, None)
        return {**kept, "SSL_CERT_FILE": str(self.servers.ca), **known.environment}

    def _start(
        self, known: Known, job: dict[str, Any], stderr: int | None = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "benchmarks.child", json.dumps(job)],
            cwd=ROOT,
            env=self._environment(known),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def _waiting(self, workload: Workload, known: Known, job: dict[str, Any]) -> dict[str, float]:
        """How much memory requests take while no answer comes."""
        node = self.servers.node()
        node.say("hold")
        process = self._start(known, job)
        try:
            held = node.await_quiet(30.0, 1.0)
            waiting = resident(process.pid)
        finally:
            node.say("release")
        result = finish(process)
        # While the gate is open nothing is announced: what is left to read is of this run.
        while node.read_line(0.1) is not None:
            pass
        memory = (waiting - result["resident"]) / workload.count
        return {"memory": memory, "held": held, "count": workload.count}

    def _import(self, known: Known) -> dict[str, float]:
        """The time of an import, in a new process, once its byte code has been written."""
        program = (
            "import os, time\n"
            f"os.sched_setaffinity(0, {{{self.core}}})\n"
            "cpu, wall = time.process_time(), time.perf_counter()\n"
            f"{known.imports}\n"
            "print(time.process_time() - cpu, time.perf_counter() - wall)\n"
        )
        said = ""
        for _ in range(2):
            said = subprocess.run(
                [sys.executable, "-c", program],
                cwd=ROOT,
                env=self._environment(known),
                capture_output=True,
                text=True,
                check=True,
                timeout=LIMIT,
            ).stdout
        cpu, wall = map(float, said.split())
        return {"cpu": cpu, "wall": wall, "count": 1}


def finish(process: subprocess.Popen[str]) -> dict[str, float]:
    """Wait for a measured process, and read what it measured."""
    try:
        out, err = process.communicate(timeout=LIMIT)
    except BaseException as error:
        process.kill()
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise ClientFailed(f"not done after {LIMIT:.0f} seconds") from None
        raise
    if process.returncode:
        raise ClientFailed((err or "").strip()[-1500:] or f"ended with {process.returncode}")
    result: dict[str, float] = json.loads(out.strip().rpartition("\n")[2])
    return result


PACKAGES = (
    "Twisted", "h2", "hpack", "cryptography", "pyOpenSSL", "pycurl", "httpx", "niquests", "scrapy",
)  # fmt: skip


def machine(cores: int) -> dict[str, Any]:
    """What the figures depend on, in general terms."""
    installed = {
        distribution.metadata["Name"].lower(): distribution.version
        for distribution in importlib.metadata.distributions()
    }
    versions = {
        package: installed[package.lower()] for package in PACKAGES if package.lower() in installed
    }
    programs = {"nghttpd": "--version", "h2load": "--version", "nginx": "-v"}
    for program, option in programs.items():
        path = find_program(program)
        if path is not None:
            versions[program] = _version(path, option)
    node = find_node()
    if node is not None:
        versions["Node"] = _version(node, "--version")
    # Who encodes our header blocks, which is one of those above unless it is libnghttp2.
    coder, _, version = coder_name().partition(" ")
    versions[coder] = version
    if "pycurl" in versions:
        import pycurl

        versions["libcurl"] = pycurl.version_info()[1]
    return {
        "cores": cores,
        "system": f"{platform.system()} on {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": versions,
        "date": time.strftime("%Y-%m-%d"),
    }


def _version(program: str, option: str) -> str:
    said = subprocess.run([program, option], capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
    return found.group() if found else "unknown"


def choose(names: str | None, known: dict[str, Any], default: Sequence[str]) -> list[Any]:
    """
    What an option like ``W1,W2`` names.

    :raises ValueError: there is no such thing.
    """
    wanted = list(default) if names is None else [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in known:
            raise ValueError(f"there is no {name!r}: choose from {', '.join(known)}")
    return [known[name] for name in wanted]


def chosen_workloads(names: str | None) -> list[Workload]:
    """The workloads of ``--only``; all of them by default."""
    return choose(names, WORKLOADS, list(WORKLOADS))


def chosen_clients(names: str | None) -> list[Known]:
    """The clients of ``--clients``; by default all but the extra ones."""
    return choose(names, CLIENTS, [k.name for k in CLIENTS.values() if not k.is_extra])
