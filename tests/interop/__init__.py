"""txhyper against real servers, over loopback sockets and TLS: the only tests that open ports."""
