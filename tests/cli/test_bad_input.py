"""Whatever is mistyped or missing: one line, a hint, an exit code; never a traceback, never a hang."""

import asyncio
import os
import socket

import pytest
from admin_edge import s3d

from s3d.cli import asking
from s3d.cli.main import main
from s3d.errors import S3dError
from s3d.telemetry.report import Status

NOBODY = "http://127.0.0.1:1"  # nothing listens on tcpmux


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["stauts"], 2, "Did you mean 'status'?"),
        (["--jsno"], 2, "No such option"),
        (["status", "--jsno"], 2, "Did you mean '--json'?"),
        (["status", "extra"], 2, "unexpected extra argument"),
        (["wait"], 2, "one of --seq, --prefix and --all"),
        (["wait", "--seq", "1-1", "--all"], 2, "one of --seq, --prefix and --all"),
        (["wait", "--seq", "one"], 2, "not a sequence number"),
        (["wait", "--seq", "-1"], 2, "not a sequence number"),
        (["wait", "--seq", ""], 2, "not a sequence number"),
        (["wait", "--all", "--timeout", "soon"], 2, "not a number of seconds"),
        (["wait", "--all", "--timeout", "-1"], 2, "not a number of seconds"),
        (["wait", "--all", "--timeout", "nan"], 2, "not a number of seconds"),
        (["pending", "--limit", "0"], 2, "--limit"),
        (["parked", "retry"], 2, "--all"),
        (["parked", "retry", "1-1", "--all"], 2, "--all"),
        (["parked", "lst"], 2, "No such command 'lst'"),
        (["status", "--admin", "localhost"], 2, "not the URL of an endpoint"),
        (["status", "--admin", "https://localhost:1"], 2, "TLS"),
        (["status", "--admin", NOBODY], 1, f"no daemon answers at {NOBODY}"),
        (["pending", "--admin", NOBODY], 1, "no daemon answers"),
        (["wait", "--all", "--admin", NOBODY], 1, "no daemon answers"),
        (["parked", "list", "--admin", NOBODY], 1, "no daemon answers"),
        (["parked", "retry", "--all", "--admin", NOBODY], 1, "no daemon answers"),
        (["status", "--admin", "http://no-such-host.invalid:1"], 1, "no daemon answers"),
        (["journal", "verify", "/nonexistent"], 1, "no journal in /nonexistent"),
        (["journal", "export", "/etc/hostname"], 1, "no journal in /etc/hostname"),
        (["journal", "adopt", "a\nb"], 1, "no journal in a b"),
        (["run", "--config", "/nonexistent.toml"], 2, "/nonexistent.toml cannot be read"),
        (["run", "--listen", "localhost:33333"], 2, "--listen"),
        (["run", "--listen", "http://0.0.0.0:33333"], 2, "not authenticated"),
        (["run", "--remote", "minio"], 2, "--remote"),
        (["run", "--remote", "http://localhost:33333"], 2, "this daemon itself"),
        (["run", "extra"], 2, "unexpected extra argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_answered_with_a_line_and_a_hint(capsys, monkeypatch, arguments, code, said):
    """Both begin with what they are, so that a person and a log collector find them."""
    for name in [name for name in os.environ if name.startswith(("S3", "AWS_"))]:
        monkeypatch.delenv(name)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    assert ended.value.code == code, err
    assert out == ""
    first, second = err.splitlines()
    assert first.startswith("s3d: ")
    assert said in first
    assert second.startswith("hint: ")


async def test_a_misspelt_setting_in_the_environments_file_is_answered_in_the_same_way(tmp_path):
    """S3D_CONFIG names a file as --config does."""
    path = tmp_path / "s3d.toml"
    path.write_text('[auth]\nsecretkey = "hunter2"\n')
    ran = await s3d("run", S3D_CONFIG=str(path))
    assert ran.code == 2
    assert "unknown setting auth.secretkey" in ran.err
    assert "did you mean auth.secret_key?" in ran.err
    assert "hunter2" not in ran.err


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n<xml>",
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nno!",
    ],
)
async def test_something_else_on_the_port_is_not_taken_for_a_daemon(answer):
    """Whatever it says, and when it just goes away."""

    async def respond(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        ran = await asyncio.wait_for(s3d("status", admin=url), 60)
    finally:
        server.close()
        await server.wait_closed()
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 2


async def test_a_daemon_that_is_silent_is_given_up(monkeypatch):
    """The listener's backlog takes the connection, nobody reads it: a stopped process looks like this."""
    monkeypatch.setattr(asking, "ANSWER_SECONDS_MAX", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = asking.AdminClient(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(S3dError, match="does not answer"):
            await asyncio.to_thread(client.get, "/status", Status)


async def test_a_question_that_got_no_answer_in_time_is_asked_once_more_and_a_change_is_not(monkeypatch):
    """A machine that stood still finds the time over when it goes on, although the daemon is there."""
    asked = []

    def exchange(client, method, target, body, seconds):
        asked.append((method, seconds))
        if len(asked) == 1:
            raise TimeoutError
        return 200, b"{}"

    monkeypatch.setattr(asking.AdminClient, "_exchange_once", exchange)
    client = asking.AdminClient("http://127.0.0.1:1")
    assert client.get("/readyz", dict) == {}
    assert asked == [("GET", asking.ANSWER_SECONDS_MAX)] * 2
    asked.clear()
    with pytest.raises(S3dError, match="does not answer"):
        client.post("/replication/pause", {}, dict)
    assert asked == [("POST", asking.CHANGE_SECONDS_MAX)]


async def test_debugging_shows_the_traceback_as_well():
    """For whoever asks for it."""
    ran = await s3d("status", "--admin", NOBODY, S3D_DEBUG="1")
    assert "Traceback" in ran.err
    assert ran.err.splitlines()[-2].startswith("s3d: no daemon answers")
