"""
What there is to run, each until its time is up or something does not hold.

A target takes a seed and does one small thing with it, or, where hypothesis looks for the shortest
conversation, a hundred of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.fuzz import differential, mutation
from tests.fuzz.conversation import Conversation
from tests.fuzz.machines import ConnectionMachine, PoolMachine


def machine(kind: type[RuleBasedStateMachine], number: int, examples: int = 100) -> None:
    """Some conversations that hypothesis makes up."""
    # A class of its own, as hypothesis keeps the seed with the class.
    seeded = seed(number)(type(kind.__name__, (kind,), {}))
    run_state_machine_as_test(
        seeded,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            database=None,
            # Its explanations take longer than all the rest.
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )


#: By name: what does one run.
TARGETS: dict[str, Callable[[int], object]] = {
    "conversations": lambda number: Conversation(number).run(),
    "connection": lambda number: machine(ConnectionMachine, number),
    "pool": lambda number: machine(PoolMachine, number),
    "recordings": mutation.run,
    "differential": differential.run,
}


def run(target: str, seconds: float, first: int, tell: Callable[[str], object]) -> int:
    """
    Run a target from a seed on, until the time is up.

    :param tell: is told the seed with which something did not hold, before that is raised.
    :return: how many runs there were.
    """
    end = time.monotonic() + seconds
    number = first
    while time.monotonic() < end:
        try:
            TARGETS[target](number)
        except BaseException:
            tell(f"{target}: seed {number}")
            raise
        number += 1
    return number - first
