"""So many examples by a seed: the gate's few, and the many of scripts/model-run."""

import sys
import traceback
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
    may not fail again; then hypothesis says so, and forgets what it was: it is noted here.
    """
    nursery = Nursery()
    failures: list[str] = []

    class Run(Machine):
        def teardown(self) -> None:
            if sys.exc_info()[0] is not None:  # a step has failed
                failures.append(traceback.format_exc())
            try:
                super().teardown()
            except Exception:
                failures.append(traceback.format_exc())
                raise
            told(Run.examples, Run.steps)

    Run.nursery = nursery
    try:
        run_state_machine_as_test(seed(by_seed)(Run), settings=_settings(examples, shorten=shorten))
    except Exception as error:
        error.add_note(f"It began with this:\n{failures[0] if failures else 'no step failed'}")
        raise
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
