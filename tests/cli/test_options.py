"""What the options say, and that twist is content with how they say it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from twisted.python import usage
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from txhyper.cli import options as module
from txhyper.cli.options import Options, Settings

from .fakes import fresh_path


def parse(*words: str) -> Settings:
    """The settings that these words give."""
    options = Options()
    options.parseOptions(words)
    return options.settings


class Parent(usage.Options):
    """Takes the place of twist's own options."""

    def opt_reactor(self, name: str) -> None:
        """Notes the name, as twist notes the reactor."""
        self["reactor"] = name


class SettingsTests(SynchronousTestCase):
    """Words in, Settings out."""

    def test_defaults(self) -> None:
        """A URL alone leaves every option off."""
        settings = parse("h")
        self.assertEqual(Settings(plan=settings.plan), settings)
        self.assertEqual(b"https://h", settings.plan.origin)

    def test_optionsStandAnywhere(self) -> None:
        """Options may stand before, between and after the words of the request."""
        for words in (
            ["-i", "--debug", "--timeout", "2.5", "PUT", "h", "a=b"],
            ["PUT", "-i", "h", "--debug", "a=b", "--timeout=2.5"],
            ["PUT", "h", "a=b", "-i", "--debug", "--timeout", "2.5"],
        ):
            settings = parse(*words)
            self.assertEqual(
                Settings(plan=settings.plan, include=True, debug=True, timeout=2.5), settings
            )
            self.assertEqual((b"PUT", b'{"a": "b"}'), (settings.plan.method, settings.plan.body))

    def test_demo(self) -> None:
        """With --demo the word after the method is a path."""
        settings = parse("--demo", "GET", "/get")
        self.assertTrue(settings.demo)
        self.assertEqual((None, b"/get"), (settings.plan.origin, settings.plan.target))

    def test_trust(self) -> None:
        """--cafile is read at once; --insecure trusts everybody; both together make no sense."""
        path = str(fresh_path(self))
        Path(path).write_bytes(b"PEM")
        self.assertEqual(b"PEM", parse("h", "--cafile", path).trusted)
        self.assertTrue(parse("h", "--insecure").insecure)
        error = self.assertRaises(UsageError, parse, "h", "--insecure", "--cafile", path)
        self.assertIn("not allowed with", str(error))

    def test_certificate(self) -> None:
        """--cert and --key are read at once; a key alone is no use."""
        folder = fresh_path(self).parent
        (folder / "cert").write_bytes(b"CERT")
        (folder / "key").write_bytes(b"KEY")
        settings = parse("h", "--cert", f"{folder}/cert")
        self.assertEqual((b"CERT", None), (settings.certificate, settings.key))
        settings = parse("h", "--cert", f"{folder}/cert", "--key", f"{folder}/key")
        self.assertEqual((b"CERT", b"KEY"), (settings.certificate, settings.key))
        error = self.assertRaises(UsageError, parse, "h", "--key", f"{folder}/key")
        self.assertIn("no use without --cert", str(error))

    def test_output(self) -> None:
        """A file is named and not made yet; ``-`` is standard output."""
        path = str(fresh_path(self))
        self.assertEqual(path, parse("h", "-o", path).output)
        self.assertFalse(Path(path).exists())
        self.assertIsNone(parse("h", "-o", "-").output)
        self.assertEqual("name", parse("h", "--output", "name").output)

    def test_proxy(self) -> None:
        """--proxy takes a URL, http if it names no scheme; an empty one is none; none is None."""
        self.assertIsNone(parse("h").proxy)
        for given, uri in [
            ("", b""),
            ("p:3128", b"http://p:3128"),
            ("socks5h://user:pass%20word@p", b"socks5h://user:pass%20word@p"),
        ]:
            self.assertEqual(uri, parse("--proxy", given, "h").proxy)

    def test_proxySecrets(self) -> None:
        """A proxy's URL that is wrong is not repeated: it may hold a password."""
        for given in (
            "ftp://user:s3cret@p",
            "user:s3cret@p:port",
            "http://user:s3cret@p/x",
            "\udcff",
        ):
            error = self.assertRaises(UsageError, parse, "h", "--proxy", given)
            self.assertIn("--proxy", str(error))
            self.assertNotIn("s3cret", str(error))

    def test_mistakes(self) -> None:
        """Every mistake is a UsageError of one line, which tells what is wrong."""
        missing = str(fresh_path(self))
        for words, reason in [
            ([], "the URL is missing"),
            (["h", "--no-such-option"], "unrecognized arguments: --no-such-option"),
            (["h", "--inc"], "unrecognized arguments: --inc"),
            (["h", "--timeout"], "expected one argument"),
            (["h", "--timeout", "soon"], "'soon' is no number of seconds above 0"),
            (["h", "--timeout", "0"], "'0' is no number of seconds above 0"),
            (["h", "--timeout", "-1"], "'-1' is no number of seconds above 0"),
            (["h", "--timeout", "inf"], "'inf' is no number of seconds above 0"),
            (["h", "--timeout", "nan"], "'nan' is no number of seconds above 0"),
            (["h", "--cafile", missing], "No such file"),
            (["h", "--cert", missing], "No such file"),
            (["h", "-o", "."], "there can be no file '.'"),
            (["h", "-o", missing + "/x"], "there can be no file"),
            (["h", "--reactor", "fusion"], "there is no reactor 'fusion'"),
            (["ftp://h/"], "neither http nor https"),
        ]:
            error = self.assertRaises(UsageError, parse, *words)
            self.assertIn(reason, str(error))
            self.assertNotIn("\n", str(error))

    def test_ownCommandLine(self) -> None:
        """Without words it reads the command line of this process."""
        self.patch(sys, "argv", ["hyperfetch", "h", "-i"])
        options = Options()
        options.parseOptions()
        self.assertTrue(options.settings.include)


class ShownTests(SynchronousTestCase):
    """--help and --version."""

    def shown(self, *words: str, parent: usage.Options | None = None) -> str:
        """What the words show on standard output; they must exit with status 0."""
        stdout = io.StringIO()
        self.patch(sys, "stdout", stdout)
        options = Options()
        options.parent = parent
        error = self.assertRaises(SystemExit, options.parseOptions, words)
        self.assertIn(error.code, (0, None))
        return stdout.getvalue()

    def test_help(self) -> None:
        """Help names the program as it was called, the items, and each exit status."""
        shown = self.shown("--help")
        self.assertTrue(shown.startswith("usage: hyperfetch [options] [METHOD] URL [ITEM ...]\n"))
        for word in ("Header:value", "parameter==value", "field=value", "--cafile FILE", "141"):
            self.assertIn(word, shown)
        self.assertEqual(shown, self.shown("h", "-h"))
        self.assertIn("usage: twist hyperfetch [", self.shown("-h", parent=Parent()))

    def test_version(self) -> None:
        """One line tells the versions that matter in a bug report."""
        shown = self.shown("--version")
        self.assertRegex(
            shown,
            r"\Atxhyper \S+ Twisted/\S+ h2/\S+ hpack/\S+ pyOpenSSL/\S+ HPACK by .+ OpenSSL .+\n\Z",
        )


class ReactorTests(SynchronousTestCase):
    """--reactor."""

    def test_installs(self) -> None:
        """The named reactor is installed while the options are read, before one is imported."""
        installed: list[str] = []
        self.patch(module, "installReactor", installed.append)
        parse("h", "--reactor", "asyncio")
        self.assertEqual(["asyncio"], installed)

    def test_default(self) -> None:
        """``default`` is a name too, as it is for twist, and leaves the choice to Twisted."""
        installed: list[str] = []
        self.patch(module, "installReactor", installed.append)
        parse("h", "--reactor", "default")
        self.assertEqual([], installed)

    def test_notHere(self) -> None:
        """A reactor whose library is missing is a mistake with a reason, not a traceback."""

        def install(name: str) -> None:
            raise ImportError("no module named wx")

        self.patch(module, "installReactor", install)
        error = self.assertRaises(UsageError, parse, "h", "--reactor", "wx")
        self.assertEqual("the reactor 'wx' is not to be had here: no module named wx", str(error))

    def test_throughTwist(self) -> None:
        """Under twist its own option does it, so that both know the same reactor."""
        options = Options()
        options.parent = parent = Parent()
        options.parseOptions(["h", "--reactor", "asyncio"])
        self.assertEqual("asyncio", parent["reactor"])

    def test_twice(self) -> None:
        """A reactor before hyperfetch and one after it cannot both be had."""
        options = Options()
        options.parent = parent = Parent()
        parent["reactor"] = object()
        error = self.assertRaises(UsageError, options.parseOptions, ["h", "--reactor", "asyncio"])
        self.assertIn("give --reactor once", str(error))
