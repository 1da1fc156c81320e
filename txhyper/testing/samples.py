"""
What the demo server's sample paths send: fixed octets of several kinds.

Owns the words. It decides nothing. :mod:`txhyper.testing.endpoints` sends them.
"""

from __future__ import annotations

__all__ = ["HTML", "JSON", "ROBOTS", "UTF8"]

HTML = b"""<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>A page of the demo server</title>
  </head>
  <body>
    <h1>It has arrived</h1>
    <p>This page came over HTTP/2, from a server that lives in the very process that asked.</p>
    <p>&lt;Angle brackets&gt;, an &amp;mpersand and a <a href="/links">link</a> are there for
    whoever takes pages apart.</p>
  </body>
</html>
"""

JSON = b"""{
  "journey": {
    "from": "client",
    "to": "server",
    "stops": [
      {"name": "preface", "octets": 24},
      {"name": "SETTINGS", "acknowledged": true},
      {"name": "HEADERS", "compressed": 0.42, "padding": null}
    ],
    "title": "A round trip"
  }
}
"""

ROBOTS = b"""User-agent: *
Disallow: /delay
"""

UTF8 = """Text in UTF-8, for those who count characters and octets.

one octet each     plain ASCII, and nothing else
two octets each    caf\u00e9, na\u00efve, \u00fcber, \u03b1\u03b2\u03b3, \u0434\u0430
three octets each  \u20ac, \u2192, \u65e5\u672c\u8a9e, \ud55c\uae00
four octets each   \U0001f980, \U0001d11e, \U00010348
combined           e\u0301 is \u00e9 in two characters
right to left      \u05e9\u05dc\u05d5\u05dd
""".encode()
