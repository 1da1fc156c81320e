"""How Sphinx builds the documentation."""

from __future__ import annotations

import sys
from pathlib import Path

# What is documented is this checkout, whatever is installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

from txhyper import __version__

project = "txhyper"
author = "The txhyper authors"
copyright = author  # noqa: A001 - Sphinx calls it that
version = release = __version__

extensions = ["sphinx.ext.autodoc"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

html_theme = "sphinx_rtd_theme"
exclude_patterns = ["_build"]
