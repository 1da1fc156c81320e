"""Where all the servers are, no interop test may be skipped: then this asks for ``--no-skips``."""

from __future__ import annotations

import pytest

from .launchers import SYSTEM_SERVERS


def pytest_collection_modifyitems(config: pytest.Config) -> None:
    """Every server is there: so nothing that is skipped has a reason."""
    if not any(server.missing() for server in SYSTEM_SERVERS):
        config.option.no_skips = True
