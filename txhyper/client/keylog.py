"""
The secrets of TLS connections, written down for those who must look into them.

Owns what ``SSLKEYLOGFILE`` asks for: a file to which each connection adds the lines that Wireshark
and its like decrypt a recording by. Whoever can read the file can read the connections, so it is
for diagnosis only, and nothing is ever written unless the environment says where. The policies of
:mod:`txhyper.client.tls` ask for it, once each.

As with curl, a file that cannot be written costs no request: a warning is logged, and that is all.
"""

from __future__ import annotations

import os
import sys
import weakref
from typing import Any

from twisted.logger import Logger

__all__ = ["KeyLog"]


class KeyLog:
    """A file that takes lines in the format of NSS."""

    _log = Logger()

    def __init__(self, path: str) -> None:
        """
        Open the file, or make it, for its owner alone. It is closed when nobody holds this any
        more.

        :raises OSError: it cannot be opened.
        """
        self._path = path
        # A pipe that nobody reads must not stop everything.
        patience = getattr(os, "O_NONBLOCK", 0)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | patience, 0o600)
        self._isWritable = True
        weakref.finalize(self, os.close, self._file)

    @classmethod
    def fromEnvironment(cls) -> KeyLog | None:
        """
        What ``SSLKEYLOGFILE`` asks for, if it does and it can be had.

        It is of no account where Python was told to ignore its environment, as for Python's ssl.
        """
        path = os.environ.get("SSLKEYLOGFILE")
        if not path or sys.flags.ignore_environment:
            return None
        try:
            return cls(path)
        except OSError as error:
            cls._log.warn(
                "no TLS secrets are logged: {path!r}, which SSLKEYLOGFILE names, cannot be opened: "
                "{reason}",
                path=path,
                reason=error.strerror,
            )
            return None

    def write(self, connection: Any, line: bytes) -> None:
        """
        Add a line, in one piece: other processes may write to the same file.

        :param connection: OpenSSL's, which says whose secret it is. The line does so, too.
        """
        if not self._isWritable:
            return
        try:
            os.write(self._file, line + b"\n")
        except OSError as error:
            self._isWritable = False
            self._log.warn(
                "no more TLS secrets are logged: {path!r} cannot be written: {reason}",
                path=self._path,
                reason=error.strerror,
            )
