"""
An HTTP/2 server of your own, for your tests: shipped to users.

Owns the server that ``hyperfetch --demo`` talks to (:mod:`txhyper.testing.server` with the paths of
:mod:`txhyper.testing.endpoints`) and the throw-away certificates it needs
(:mod:`txhyper.testing.certs`). It never touches the global reactor and opens no port before it is
told to. Tests call it, and the command line does.
"""
