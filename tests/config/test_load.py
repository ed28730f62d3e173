"""Flags beat the environment, the environment beats the file; whatever is not understood stops the start."""

import os
import string

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from s3d.auth import UnsignedPayloads
from s3d.config import load
from s3d.config.catalogue import catalogue, sections
from s3d.config.load import exposes_secrets
from s3d.errors import ConfigurationError

KEYS = '[auth]\naccess_key = "AKIA"\nsecret_key = "wJalr"\n'


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "s3d.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def refused(write, text, flags=None, environ=None):
    with pytest.raises(ConfigurationError) as caught:
        load(flags or {}, environ or {}, write(text) if text is not None else None)
    return caught.value


def test_everything_has_a_default():
    """No file, no flags, no environment: a daemon on loopback that authenticates nobody and has no remote."""
    found = load({}, {"HOME": "/home/me"}, None, root=False)
    assert found.listen == "http://localhost:33333"
    assert found.data_dir == "/home/me/.local/share/s3d"
    assert not found.remote.configured
    assert not found.auth.configured


@pytest.mark.parametrize(
    ("environ", "root", "expected"),
    [
        ({"HOME": "/h"}, False, "/h/.local/share/s3d"),
        ({"HOME": "/h", "XDG_DATA_HOME": "/x"}, False, "/x/s3d"),
        ({"HOME": "/root", "XDG_DATA_HOME": "/x"}, True, "/var/lib/s3d"),
        ({"HOME": "/h", "S3D_LOCAL_DIR": "~/edge"}, True, "/h/edge"),
        ({"HOME": "/h", "S3D_LOCAL_DIR": "/a/../b/"}, False, "/b"),
    ],
)
def test_the_data_directory_depends_on_who_starts_it(environ, root, expected):
    """A system's service and a person's trial do not meet."""
    assert load({}, environ, None, root=root).data_dir == expected


def test_flags_beat_the_environment_and_the_environment_beats_the_file(write):
    """For every setting that has all three."""
    path = write('data_dir = "/file"\nlisten = "http://localhost:1"\n[remote]\nendpoint = "https://file"\n')
    environ = {"S3D_LOCAL_DIR": "/environment", "S3D_ENDPOINT": "http://localhost:2", "S3_ENDPOINT": "https://env"}
    flags = {"data_dir": "/flag", "listen": "http://localhost:3", "remote.endpoint": "https://flag"}

    def three(found):
        return found.data_dir, found.listen, found.remote.endpoint

    assert three(load({}, {}, path)) == ("/file", "http://localhost:1", "https://file")
    assert three(load({}, environ, path)) == ("/environment", "http://localhost:2", "https://env")
    assert three(load(flags, environ, path)) == ("/flag", "http://localhost:3", "https://flag")
    assert three(load(dict.fromkeys(flags), environ, path)) == ("/environment", "http://localhost:2", "https://env")


def test_an_empty_variable_counts_as_unset(write):
    """`S3_ENDPOINT= s3d run` is how a shell takes a setting back."""
    assert load({}, {"S3_ENDPOINT": "", "S3D_ENDPOINT": ""}, write("")).remote.endpoint is None


def test_a_full_file_is_read(write):
    """Every kind of value arrives as what it is."""
    found = load(
        {},
        {},
        write(
            KEYS + 'allow_unsigned_payload = "always"\n'
            "[remote]\nlanes_max = 8\nidentity_token = false\nconnect_timeout_seconds = 2\n"
            '[journal]\nmark = "strict"\n[log]\nformat = "json"\n'
        ),
    )
    assert found.auth.secret_key.reveal() == "wJalr"
    assert found.auth.allow_unsigned_payload is UnsignedPayloads.ALWAYS
    assert found.remote.lanes_max == 8
    assert found.remote.identity_token is False
    assert found.remote.connect_timeout_seconds == 2.0
    assert (found.journal.mark, found.log.format) == ("strict", "json")


@pytest.mark.parametrize(
    ("name", "url"), [("aws", None), ("https://s3.amazonaws.com", None), ("https://e", "https://e")]
)
def test_aws_itself_has_a_name(name, url):
    """`aws` leaves the endpoint to the AWS client, region and all."""
    remote = load({"remote.endpoint": name}, {}, None).remote
    assert remote.configured
    assert remote.endpoint_url == url


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ('lisen = "http://localhost:1"', "did you mean listen?"),
        ('[remote]\nendpont = "https://e"', "did you mean remote.endpoint?"),
        ('[remot]\nendpoint = "https://e"', "did you mean remote?"),
        ('endpoint = "https://e"', "did you mean remote.endpoint?"),
        ("lanes_max = 3", "did you mean remote.lanes_max?"),
        ('access_key = "x"', "did you mean auth.access_key or remote.access_key?"),
        ("zzz = 1", "the settings outside sections are data_dir, listen, region"),
        ("[shutdown]\nzzz = 1", "the settings of [shutdown] are drain_seconds"),
        ("[[remote]]\nlanes_max = 1", "write [remote] on a line of its own"),
    ],
)
def test_what_does_not_exist_is_an_error_that_suggests_what_does(write, text, suggestion):
    """The file is named, and the hint is what the person meant."""
    error = refused(write, text)
    assert "s3d.toml" in error.message
    assert suggestion in error.hint


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[remote]\nlanes_max = 0", "remote.lanes_max = 0"),
        ('[remote]\nlanes_max = "8"', "remote.lanes_max = '8'"),
        ("[remote]\nlanes_max = 8.5", "remote.lanes_max = 8.5"),
        ("[remote]\nlanes_max = true", "remote.lanes_max = True"),
        ("[remote]\nidentity_token = 1", "remote.identity_token = 1"),
        ("[journal]\ninline_bytes_max = 1_048_577", "journal.inline_bytes_max = 1048577"),
        ('[journal]\nmark = "never"', "journal.mark = 'never'"),
        ("[shutdown]\ndrain_seconds = nan", "shutdown.drain_seconds = nan"),
        ("[shutdown]\ndrain_seconds = inf", "shutdown.drain_seconds = inf"),
        ("[shutdown]\ndrain_seconds = -1", "shutdown.drain_seconds = -1"),
        ('data_dir = ""', "data_dir = ''"),
        ('data_dir = "a\\u0000b"', "data_dir"),
        ("listen = 33333", "listen = 33333"),
        ('listen = "33333"', "listen"),
        ('listen = "http://localhost"', "no port"),
        ('listen = "http://localhost:99999"', "listen"),
        ('listen = "http://localhost:1/bucket"', "has a path"),
        ('listen = "http://local\\nhost:1"', "listen"),
        ('listen = "https://localhost:1"', "TLS"),
        ('[remote]\nendpoint = "ftp://e"', "remote.endpoint"),
        ('[remote]\nendpoint = "minio:9000"', "remote.endpoint"),
        ("listen", "not TOML"),
        ("listen = 1\nlisten = 2", "not TOML"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_setting(write, text, named):
    """And every error tells what to do."""
    error = refused(write, text)
    assert named in error.message
    assert error.hint


@pytest.mark.parametrize("setting", [one for one in catalogue().values() if one.choices], ids=lambda one: one.path)
def test_where_the_choices_are_few_the_error_lists_them(write, setting):
    """`mark = "never"` is answered with what it can be."""
    error = refused(write, f'[{setting.section}]\n{setting.name} = "no such choice"')
    for choice in setting.choices:
        assert choice in error.hint


def test_bad_input_from_flag_and_environment_names_its_source(write):
    """A person looks where the value came from."""
    assert refused(write, None, flags={"listen": "x"}).message.startswith("--listen")
    assert refused(write, None, flags={"listen": ""}).message.startswith("--listen")
    assert refused(write, None, environ={"S3_ENDPOINT": "x"}).message.startswith("S3_ENDPOINT")


@pytest.mark.parametrize(
    "url", ["http://0.0.0.0:33333", "http://192.168.1.4:1", "http://[::]:1", "http://edge.example:1"]
)
def test_without_keys_only_loopback_may_be_listened_on(write, url):
    """Whoever reaches the port could write; with keys it is allowed."""
    assert "not authenticated" in refused(write, f'listen = "{url}"').message
    assert load({"listen": url}, {}, write(KEYS)).listen == url


@pytest.mark.parametrize("url", ["http://localhost:1", "http://127.0.0.1:1", "http://127.8.9.1:0", "http://[::1]:1"])
def test_every_loopback_address_may_be_listened_on(url):
    """IPv4, IPv6 and the name."""
    assert load({"listen": url}, {}, None).address.loopback


def test_further_client_keys_stand_beside_the_first(write):
    """Never instead of it, and never twice; all are secrets."""
    more = '[[client_key]]\naccess_key = "AKIB"\nsecret_key = "hush"\n'
    found = load({}, {}, write(KEYS + more))
    assert [(one.access_key, one.secret_key.reveal()) for one in found.client_keys] == [("AKIB", "hush")]
    assert "hush" not in repr(found)
    assert "no auth.access_key" in refused(write, more).message
    assert "already" in refused(write, KEYS + more.replace("AKIB", "AKIA")).message


def test_the_admin_listener_is_loopback_even_with_keys(write):
    """It has no authentication of its own."""
    error = refused(write, KEYS + '[admin]\nlisten = "http://0.0.0.0:1"')
    assert "admin.listen" in error.message


@pytest.mark.parametrize("section", ["auth", "remote"])
@pytest.mark.parametrize(
    "text", ['access_key = "a"', 'secret_key = "s3cr3t"', 'access_key = ""\nsecret_key = "s3cr3t"']
)
def test_half_a_key_pair_is_refused(write, section, text):
    """An access key without a secret would authenticate nobody, or everybody."""
    error = refused(write, f"[{section}]\n{text}")
    assert section in error.message
    assert "s3cr3t" not in str(error)


def test_keys_come_from_the_environment(write):
    """So that they need not be in a file; they beat the file's."""
    found = load({}, {"S3D_ACCESS_KEY": "A", "S3D_SECRET_KEY": "B"}, write(KEYS))
    assert (found.auth.access_key, found.auth.secret_key.reveal()) == ("A", "B")


def test_secrets_are_in_no_text_of_the_settings(write):
    """Neither repr nor str nor an error shows them."""
    found = load({}, {}, write(KEYS + '[remote]\naccess_key = "r"\nsecret_key = "wJalr"'))
    assert "wJalr" not in repr(found) + str(found) + f"{found}"


@pytest.mark.parametrize(
    "text",
    [
        '[auth]\nsecretkey = "wJalr"',
        'secret = "wJalr"',
        '[auth]\nsecret_key = ["wJalr"]',
        'auth = "wJalr"',
        '[remote]\nendpoint = "https://key:wJalr@e"',
        '[auth]\nsecret_key = "wJalr',
    ],
)
def test_an_error_never_repeats_what_may_be_a_secret(write, text):
    """Misspelt, mistyped or put into the URL."""
    assert "wJalr" not in str(refused(write, text))


@pytest.mark.parametrize(
    ("listen", "remote"),
    [
        ("http://localhost:33333", "http://localhost:33333"),
        ("http://localhost:33333", "http://127.0.0.1:33333/"),
        ("http://[::1]:80", "http://localhost"),
    ],
)
def test_a_daemon_is_not_its_own_remote(listen, remote):
    """It would replay to itself for ever."""
    with pytest.raises(ConfigurationError, match="itself"):
        load({"listen": listen, "remote.endpoint": remote}, {}, None)


def test_two_listeners_need_two_ports():
    """Unless the system chooses them."""
    with pytest.raises(ConfigurationError, match="same address"):
        load({"listen": "http://127.0.0.1:5", "admin.listen": "http://127.0.0.1:5"}, {}, None)
    load({"listen": "http://127.0.0.1:0", "admin.listen": "http://127.0.0.1:0"}, {}, None)


def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path):
    """Missing, a directory, or not text."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "binary", "nul\0byte"):
        with pytest.raises(ConfigurationError) as caught:
            load({}, {}, str(path))
        assert caught.value.hint


def test_a_readable_file_with_keys_is_noticed(write):
    """So that the start can warn; a file without keys may be read by all."""
    path = write(KEYS)
    for mode, exposed in ((0o600, False), (0o640, False), (0o644, True)):
        os.chmod(path, mode)
        assert exposes_secrets(path) is exposed
    path = write('listen = "http://localhost:1"')
    assert not exposes_secrets(path)


def error_of(flags, path):
    try:
        load(flags, {"HOME": "/h"}, path)
    except ConfigurationError as error:
        return error
    return None


toml_text = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.tuples(
            st.sampled_from([*catalogue(), *sections(), "x"]),
            st.one_of(
                st.integers(),
                st.booleans(),
                st.floats(),
                st.text(string.printable, max_size=12).map(repr),
                st.just("{}"),
            ),
        ),
        max_size=4,
    ).map(lambda pairs: "\n".join(f"{name} = {value}" for name, value in pairs)),
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(toml_text)
@example("remote.lanes_max = 3\nremote = {}")
@example("data_dir = {}")
def test_any_text_is_settings_or_a_configuration_error(tmp_path, text):
    """Nothing in a file makes the loader fail in another way."""
    path = tmp_path / "any.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    error = error_of({}, str(path))
    assert error is None or error.hint


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
@example("http://[::1")
@example("http://a:1]")
@example("http://localhost:１")
def test_any_url_is_an_address_or_a_configuration_error(url):
    """From any source."""
    for setting in ("listen", "remote.endpoint", "admin.listen"):
        error = error_of({setting: f"http://{url}"}, None)
        assert error is None or error.hint
