"""What the tests of backups share: the command line in this process, which costs no start of an interpreter."""

import os
from collections.abc import Callable

import pytest

from s3d.cli.main import main

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Run the command line; its exit code and what it wrote."""
    monkeypatch.setattr(os, "nice", lambda _: 0)

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(one) for one in arguments])
        written = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, written.out, written.err

    return run
