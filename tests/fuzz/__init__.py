"""
Conversations that nobody would write by hand.

A seeded run of a few hundred is among the tests. A long one, from a seed of your choice::

    python -m tests.fuzz --runs 100000 --seed 1
"""
