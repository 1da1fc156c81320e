"""Programs that the launchers start: each serves the bodies of ``tests.interop.bodies``."""
