"""
Other people's shapes around the client.

Owns what looks like another library and is txhyper inside. The case of its names follows the
library that it looks like. Nothing else of txhyper calls it; users do.
"""
