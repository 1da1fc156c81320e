"""
Many connections: which one a request goes to, and what happens when that fails.

Owns the pool, the agent and the ways to connect. Never reads or writes an octet of HTTP/2.
"""
