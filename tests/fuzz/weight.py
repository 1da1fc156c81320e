"""How many octets an object holds, with everything that only it leads to."""

from __future__ import annotations

import gc
import sys
from types import BuiltinFunctionType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

from twisted.internet.protocol import BaseProtocol
from twisted.internet.task import Clock
from twisted.logger import Logger
from zope.interface.interface import InterfaceClass

from txhyper.testing.peer import MemoryTransport

#: What everybody has in common, and what belongs to the test.
SHARED = (
    type,
    ModuleType,
    FunctionType,
    BuiltinFunctionType,
    FrameType,
    Logger,
    Clock,
    InterfaceClass,
    MemoryTransport,
)


def weight(root: Any) -> int:
    """
    The octets that are reachable from a connection: not its transport, its users' own objects, or
    what is shared with the rest of the process.
    """
    seen: set[int] = set()
    waiting = [root]
    total = 0
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, SHARED):
            continue
        if type(thing).__module__.startswith("tests."):
            continue
        if isinstance(thing, BaseProtocol) and thing is not root:
            continue
        seen.add(id(thing))
        total += sys.getsizeof(thing)
        if isinstance(thing, MethodType):
            waiting.append(thing.__self__)
        elif isinstance(thing, memoryview):
            waiting.append(thing.obj)
        else:
            waiting.extend(gc.get_referents(thing))
    return total
