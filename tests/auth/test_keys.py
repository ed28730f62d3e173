"""Secrets do not show, and incomplete keys are not accepted."""

import copy
import pickle
import traceback

import pytest

from s3d.auth import SecretKey, StaticKeys
from s3d.errors import ConfigurationError


def test_a_secret_shows_itself_only_when_asked():
    """Not in repr, str, format, a container, a traceback, nor in a pickle."""
    secret = SecretKey("hunter2")
    keys = StaticKeys({"AK": secret})
    shown = f"{secret} {secret!r} {[secret]} {keys!r} {keys} {vars(keys)}"
    try:
        raise ValueError(secret)
    except ValueError:
        shown += traceback.format_exc()
    assert "hunter2" not in shown
    assert "AK" in shown
    assert secret.reveal() == "hunter2"
    for leak in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            leak(secret)


def test_static_keys_answer_for_what_was_configured():
    keys = StaticKeys({"AK": "one", "BK": SecretKey("two")})
    assert keys.secret("AK").reveal() == "one"
    assert keys.secret("BK").reveal() == "two"
    assert keys.secret("CK") is None
    assert keys.secret("") is None


@pytest.mark.parametrize(("access_key", "secret"), [("", "s"), ("AK", ""), ("AK", SecretKey(""))])
def test_incomplete_keys_do_not_start(access_key, secret):
    """CVE-2026-88018 (rclone): an access key with an empty secret, which anybody can sign with, was registered."""
    with pytest.raises(ConfigurationError):
        StaticKeys({access_key: secret})
