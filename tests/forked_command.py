"""The command `s3d` in a process that is forked from one which has imported it: no second of Python's before it begins.

`Forked` is what `subprocess.Popen` would be, as far as a test needs that: the same arguments, environment and standard
error, a session of its own, signals and an exit code. What is imported when is tested where the command is started as
users start it: tests/peers, tests/cli, the demonstration and the tour of the README.
"""

import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

MESSAGE_BYTES_MAX = 128 * 1024
_HERE = os.path.dirname(os.path.abspath(__file__))
_PROGRAM = f"""
import sys
sys.path.append({_HERE!r})  # at the end: rooms of the tests are called like modules of the standard library
from forked_command import next_command
command = next_command()  # in the process that forks: None, when nobody asks any more
if command is not None:
    command()
"""


class Forked:
    """A started command. `stderr` is a descriptor, which is the caller's to close."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], stderr: int) -> None:
        question = {"arguments": list(arguments), "environment": dict(environment)}
        self.pid = _origin().ask(question, stderr)
        self._ended = os.pidfd_open(self.pid)
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code (negative: the signal), None while it runs."""
        return self._wait(0)

    def wait(self, seconds: float) -> int:
        """The exit code, once it has ended. Raises TimeoutExpired."""
        code = self._wait(seconds)
        if code is None:
            raise subprocess.TimeoutExpired(f"s3d, process {self.pid}", seconds)
        return code

    def send_signal(self, number: int) -> None:
        """Like Popen's."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._ended, number)

    def _wait(self, seconds: float) -> int | None:
        if self._code is None and _is_readable(self._ended, seconds):
            self._code = os.waitstatus_to_exitcode(_origin().ask({"pid": self.pid}))
            os.close(self._ended)
        return self._code


class _Origin:
    """The process that forks, as seen from the tests: one for each of theirs."""

    def __init__(self) -> None:
        self._ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen([sys.executable, "-P", "-c", _PROGRAM], stdin=its)
        atexit.register(self.close)

    def ask(self, question: object, *descriptors: int) -> int:
        socket.send_fds(self._ours, [json.dumps(question).encode()], descriptors)
        return int(self._ours.recv(MESSAGE_BYTES_MAX))

    def close(self) -> None:
        self._ours.close()
        self._process.wait(10)


@functools.cache
def _origin() -> _Origin:
    return _Origin()


def _is_readable(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


# in the process that forks


def next_command() -> Callable[[], None] | None:
    """Fork whenever somebody asks; what a child has to do. None in the parent, when nobody asks any more."""
    _import()
    control = socket.socket(fileno=os.dup(0))
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, MESSAGE_BYTES_MAX, 1)
        if not message:
            return None
        question = json.loads(message)
        if "pid" in question:
            answer = os.waitpid(question["pid"], 0)[1]
        else:
            answer = os.fork()
            if answer == 0:
                control.close()
                _become(question["environment"], descriptors[0])
                return functools.partial(_run, question["arguments"])
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(str(answer).encode())


def _import() -> None:
    """What every start imports; and no thread must have been started by that."""
    import gc

    import aiobotocore.session  # noqa: F401

    import s3d.app.daemon
    import s3d.cli.main
    import s3d.cli.run
    import s3d.config.source
    import s3d.remote.client  # noqa: F401

    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads must not fork"
    gc.collect()
    gc.freeze()


def _become(environment: Mapping[str, str], stderr: int) -> None:
    """A session, an environment and a standard error of its own."""
    os.setsid()
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(stderr, 2)
    os.close(stderr)
    os.environ.clear()
    os.environ.update(environment)


def _run(arguments: Sequence[str]) -> None:
    from s3d.cli.main import main

    main(arguments)
