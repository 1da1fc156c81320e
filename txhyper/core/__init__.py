"""
HTTP/2 without input or output: policy as values.

Owns every decision that can be made from facts alone. Nothing here imports Twisted, reads a clock
or calls out: each object is told what happened and answers with what to do. Its neighbour is h2,
so names here are in snake_case.
"""
