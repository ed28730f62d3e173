"""What is mistyped at `s3d audit report` is told before anything is read."""

import click
import pytest

from s3d.cli.main import cli


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say which time"),
        (["--period", "2026-W54"], "there is no 2026-W54"),
        (["--period", "2026-11", "--since", "2026-11-01"], "say which time"),
        (["--period", "2026-11", "--until", "2026-11-02"], "--until goes with --since"),
        (["--since", "yesterday"], "is not a moment"),
        (["--since", "2026-11-02", "--until", "2026-11-02"], "--until is not after --since"),
        (["--period", "9998"], "has not begun"),
    ],
)
def test_a_time_that_makes_no_sense_is_a_usage_error(arguments, said):
    """Exit code 2, and no daemon is asked."""
    with pytest.raises(click.UsageError) as caught:
        cli.main(["audit", "report", *arguments], standalone_mode=False)
    assert said in caught.value.format_message()
