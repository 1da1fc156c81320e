"""Twisted's own Agent, over a hundred HTTP/1.1 connections."""

from __future__ import annotations

from . import twisted_h1_few


class Client(twisted_h1_few.Client):
    """As with two, but the pool may keep as many as are used."""

    connections = 100
