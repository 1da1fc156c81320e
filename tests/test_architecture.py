"""
The house rules of docs/architecture.rst, kept by a machine.

Everything here reads the sources as text or as a syntax tree; nothing of txhyper is imported save
for the pinned public names, so that a broken module still gets a clear answer from these tests.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txhyper

ROOT = Path(txhyper.__file__).parent
PROJECT = Path(__file__).parent.parent

#: From left to right: a module imports from its own layer and from anything to its left.
LAYERS = ["errors", "core", "interfaces", "protocol", "client", "testing", "adapters", "cli"]

#: Layers that stand side by side, and may not look at one another, although one is listed first.
STRANGERS = {("adapters", "testing"), ("cli", "adapters")}

#: Pairs (what is imported, where it may be imported). A prefix of a dotted name counts.
OWNERS = {
    "h2": {"core", "errors", "testing"},
    "hpack": {"core", "testing"},
    "hyperframe": {"core", "testing"},
    "twisted.web._newclient": {"protocol/http11"},
    "zlib": {"core/decoders"},
    "socksio": {"core/socks"},
    "brotli": {"core/decoders"},
    "brotlicffi": {"core/decoders"},
    "compression": {"core/decoders"},
    "backports": {"core/decoders"},
    "threading": {"adapters/reactor_thread"},
    "twisted.internet.reactor": {"adapters", "cli"},
    "treq": {"adapters", "cli"},
    "requests": {"adapters"},
    "httpie": {"adapters"},
    "scrapy": {"adapters"},
    "rich": {"cli"},
    "twisted.application": {"adapters", "cli"},
    "cryptography": {"testing", "client/credentials"},
}

#: Where the servers of the testing layer are part of the product: they compress what they send.
EXEMPT = {("zlib", "testing/endpoints")}

PUBLIC_NAMES = [
    "Agent",
    "AutoTuningFlowControlManager",
    "BaseFlowControlManager",
    "BodyError",
    "BodyTooLarge",
    "BodyTimedOut",
    "ConnectTimedOut",
    "ResponseTimedOut",
    "SlotTimedOut",
    "TotalTimedOut",
    "Timeouts",
    "BoundExceeded",
    "Bounds",
    "ConnectionFailed",
    "ConnectionPool",
    "ConnectionTerminated",
    "ConnectionUnusable",
    "ConsumptionFlowControlManager",
    "DecodingFailed",
    "FlowControlManager",
    "GoneAway",
    "HTTP11Connection",
    "HTTP11Required",
    "HTTP20Connection",
    "HTTPConnection",
    "HTTP2ClientProtocol",
    "HTTPHeaderMap",
    "HandshakeTerminated",
    "HandshakeTimedOut",
    "HyperError",
    "IHTTPConnection",
    "IHyperResponse",
    "IPushPromise",
    "IReplayableBody",
    "Initiator",
    "InvalidRequest",
    "LengthMismatch",
    "Liveness",
    "MalformedResponse",
    "NegotiationFailed",
    "NotProcessed",
    "PeerUnresponsive",
    "ProtocolViolation",
    "Proxy",
    "PushPromise",
    "PushRefused",
    "ReceiptFlowControlManager",
    "Request",
    "StreamAborted",
    "StreamError",
    "StreamRefused",
    "StreamReset",
    "TimedOut",
    "TunnelEndpoint",
    "TunnelRefused",
    "__version__",
    "contentDecoders",
    "proxyFromEnvironment",
]

CAMEL_LAYERS = {"interfaces", "protocol", "client", "testing"}
SNAKE_LAYERS = {"errors", "core"}


def modules() -> Iterator[tuple[str, Path]]:
    """Each module as its slashed name below the package, without the ending, and its path."""
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).with_suffix("").as_posix()
        yield name.removesuffix("/__init__"), path


def layer(name: str) -> str:
    """The layer of a slashed module name: its folder, or itself at the top level."""
    return name.split("/")[0]


def imports(name: str, path: Path, atImportTime: bool = False) -> Iterator[str]:
    """
    The dotted names that a module imports.

    ``from a import b`` gives ``a.b``: whether ``b`` is a module cannot be told from the text, and
    a longer name never hides a shorter one's rule.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(topLevel(tree)) if atImportTime else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative imports hide the layer"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def topLevel(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported: not in functions, not for the types alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from topLevel(node)


def isBelow(imported: str, prefix: str) -> bool:
    """Whether a dotted name is a prefix or stands below it."""
    return imported == prefix or imported.startswith(prefix + ".")


class LayerTests(SynchronousTestCase):
    """Imports point to the left."""

    def test_everyModuleIsInAKnownLayer(self) -> None:
        """A new folder is a decision of design, to be written down here first."""
        known = {*LAYERS, "__init__", "."}
        self.assertEqual([], [name for name, _ in modules() if layer(name) not in known])

    def test_importsPointLeft(self) -> None:
        """No module imports from a layer to its right, nor from a layer it is a stranger to."""
        wrong = []
        for name, path in modules():
            own = layer(name)
            if own not in LAYERS:
                continue
            # The interfaces name what is to their right in annotations, and in nothing else.
            for imported in imports(name, path, atImportTime=name == "interfaces"):
                if not isBelow(imported, "txhyper"):
                    continue
                target = f"{imported}.".split(".")[1]
                if target not in LAYERS:
                    # The package itself: its version, or a public name that only the two
                    # layers on the right may take from there.
                    if own not in ("adapters", "cli", "testing"):
                        wrong.append(f"{name} imports {imported}")
                elif LAYERS.index(target) > LAYERS.index(own) or (own, target) in STRANGERS:
                    wrong.append(f"{name} imports {imported}")
        self.assertEqual([], wrong)

    def test_coreIsSansIO(self) -> None:
        """``core`` and ``errors`` know neither Twisted nor a clock."""
        wrong = [
            f"{name} imports {imported}"
            for name, path in modules()
            if layer(name) in ("core", "errors")
            for imported in imports(name, path)
            if imported.split(".")[0] in ("twisted", "zope", "time", "asyncio", "socket", "OpenSSL")
        ]
        self.assertEqual([], wrong)

    def test_singleOwners(self) -> None:
        """What belongs in one place is imported only there."""
        wrong = []
        for name, path in modules():
            for imported in imports(name, path):
                for prefix, owners in OWNERS.items():
                    if not isBelow(imported, prefix) or (prefix, name) in EXEMPT:
                        continue
                    if layer(name) not in owners and name not in owners:
                        wrong.append(f"{name} imports {imported}")
        self.assertEqual([], wrong)

    def test_onlyTheWireWritesHTTP2(self) -> None:
        """``transport.write`` of the client is called in one method of one module."""
        writers = {}
        for name, path in modules():
            if layer(name) == "testing":
                continue
            count = len(
                re.findall(r"[ ._]transport\.write(?:Sequence)?\(", path.read_text("utf-8"))
            )
            if count:
                writers[name] = count
        # Whoever asks a proxy for a tunnel speaks before there is a connection.
        writers.pop("client/tunnels")
        self.assertEqual({"protocol/wire": 1}, writers)

    def test_noImportCycles(self) -> None:
        """The modules that import one another while they are being imported form no circle."""
        graph: dict[str, set[str]] = {}
        names = {name for name, _ in modules()}
        for name, path in modules():
            edges = set()
            for imported in imports(name, path, atImportTime=True):
                if isBelow(imported, "txhyper"):
                    parts = imported.split(".")[1:]
                    for end in (len(parts), len(parts) - 1):
                        candidate = "/".join(parts[:end])
                        if candidate in names and candidate != name:
                            edges.add(candidate)
                            break
            graph[name] = edges
        done: set[str] = set()

        def visit(name: str, trail: list[str]) -> None:
            self.assertNotIn(name, trail, " -> ".join([*trail, name]))
            if name not in done:
                for edge in sorted(graph[name]):
                    visit(edge, [*trail, name])
                done.add(name)

        for name in graph:
            visit(name, [])


class ShapeTests(SynchronousTestCase):
    """What a module may look like."""

    def test_noModuleAboveFourHundredLines(self) -> None:
        """A module that grows past 400 lines holds two ideas."""
        long = {
            name: count
            for name, path in modules()
            if (count := len(path.read_text("utf-8").splitlines())) > 400
        }
        self.assertEqual({}, long)

    def test_everyModuleSaysWhatItOwns(self) -> None:
        """Each module opens with a docstring."""
        missing = [
            name for name, path in modules() if not ast.get_docstring(ast.parse(path.read_text()))
        ]
        self.assertEqual([], missing)

    def test_noPrintAndNoBareExcept(self) -> None:
        """Output goes through the command line's own streams; no failure is swallowed whole."""
        wrong = []
        for name, path in modules():
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ExceptHandler) and node.type is None:
                    wrong.append(f"{name}:{node.lineno} has a bare except")
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id == "print"
                ):
                    wrong.append(f"{name}:{node.lineno} prints")
        self.assertEqual([], wrong)

    def test_coverageIsNotTalkedDown(self) -> None:
        """A branch that is hard to cover is a question about the design, never a pragma."""
        marked = [name for name, path in modules() if "pragma: no" in path.read_text("utf-8")]
        self.assertEqual([], marked)

    def test_theCaseTellsTheLayer(self) -> None:
        """Functions and parameters are camelCase beside Twisted and snake_case in the core."""
        wrong = []
        for name, path in modules():
            own = layer(name)
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    continue
                given = [node.name, *(a.arg for a in (*node.args.args, *node.args.kwonlyargs))]
                for word in given:
                    # Those with two underscores at both ends are Python's own.
                    plain = "" if word.endswith("__") else word.strip("_")
                    # So does what Twisted's Headers are known by.
                    is_camel = re.search(r"[a-z][A-Z]", plain) and plain != "getAllRawHeaders"
                    if own in SNAKE_LAYERS and is_camel:
                        wrong.append(f"{name}:{node.lineno} {word}")
                    # What the seed's window managers dictate keeps its case.
                    if own in CAMEL_LAYERS and "_" in plain and plain != "window_manager":
                        wrong.append(f"{name}:{node.lineno} {word}")
        self.assertEqual([], wrong)

    def test_pluginFoldersAreNamespaces(self) -> None:
        """An ``__init__.py`` here would hide Twisted's own plugins."""
        found = [
            *(PROJECT / "twisted").glob("__init__.py"),
            *(PROJECT / "twisted").glob("*/__init__.py"),
        ]
        self.assertEqual([], found)

    def test_theDropinIsLight(self) -> None:
        """Each start of twist imports the dropin: it may pull in neither a reactor nor txhyper."""
        dropin = PROJECT / "twisted" / "plugins" / "txhyper_dropin.py"
        found = list(imports("dropin", dropin))
        self.assertEqual(["twisted.application.service.ServiceMaker"], found)


class PublicNamesTests(SynchronousTestCase):
    """What users may rely on."""

    def test_pinned(self) -> None:
        """The public names change only on purpose."""
        self.assertEqual(sorted(PUBLIC_NAMES), sorted(txhyper.__all__))
        for name in PUBLIC_NAMES:
            self.assertIsNotNone(getattr(txhyper, name))

    def test_importIsLight(self) -> None:
        """Importing txhyper imports no integration's host and no reactor."""
        script = (
            "import sys, txhyper; "
            "print(sorted({'treq', 'requests', 'httpie', 'scrapy', 'rich', "
            "'twisted.internet.reactor'} & set(sys.modules)))"
        )
        out = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=PROJECT
        )
        self.assertEqual("[]", out.stdout.strip())
