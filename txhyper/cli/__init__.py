"""
The command line: ``hyperfetch`` and ``twist hyperfetch``.

Owns what a person types and sees: options and items, the body on standard output, one line on
standard error for what went wrong, and the exit status. It speaks no HTTP of its own; the client
layer does. The console script and the twist plugin call in here, and nothing else does.
"""
