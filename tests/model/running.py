"""So many examples by a seed: the gate's few, and the many of scripts/model-run."""

from collections.abc import Callable

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from model.machine import Machine
from model.nursery import Nursery

STEPS = 40  # of one example
Told = Callable[[int, int], object]  # examples, steps


def run(examples: int, by_seed: int, *, shorten: bool, told: Told = lambda _examples, _steps: None) -> int:
    """Live so many examples; the steps that were taken. Raises what the first one that fails has raised.

    A failure is shortened on demand only: that lives hundreds of examples more. What depends on the moment of a kill
    may not fail again; then hypothesis says so, and shows the steps all the same.
    """
    nursery = Nursery()

    class Run(Machine):
        def teardown(self) -> None:
            super().teardown()
            told(Run.examples, Run.steps)

    Run.nursery = nursery
    try:
        run_state_machine_as_test(seed(by_seed)(Run), settings=_settings(examples, shorten=shorten))
    finally:
        nursery.close()
    return Run.steps


def _settings(examples: int, *, shorten: bool) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink) if shorten else (Phase.generate,),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
