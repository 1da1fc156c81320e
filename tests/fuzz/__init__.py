"""
Conversations that nobody would write by hand.

A short, seeded run of each kind is among the tests. A long one, from a seed of your choice::

    python -m tests.fuzz TARGET --seconds 3600 --seed 1

The targets are:

* ``conversations``: everything drawn from one seed, one connection;
* ``connection``: a state machine of one connection, its users and a peer;
* ``pool``: the same for a pool and a network;
* ``recordings``: what real servers once said, damaged;
* ``differential``: random frames, read by plain h2 as well;
* ``all``: each of them in turn.
"""
