"""
One connection, in Twisted's terms.

Owns a transport and everything that is going on over it. Knows nothing of origins, of other
connections or of retries: :mod:`txhyper.client` does. Its neighbour is Twisted, so names here are
in camelCase.
"""
