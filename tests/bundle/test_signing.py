"""The key of an audit: made once, for its owner, and its public half is what others check with."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from s3d.bundle.errors import BundleError
from s3d.bundle.signing import SigningKey, check_public, has_signed, pem_of, read_signing_key, write_signing_key

KEY = SigningKey(b"k" * 32)


def test_a_key_is_read_as_it_was_written(tmp_path: Path) -> None:
    """In a file for its owner alone; where there is none, there is none."""
    path = tmp_path / "key"
    assert read_signing_key(str(path)) is None
    made = write_signing_key(str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_signing_key(str(path)) == made
    assert [one.name for one in tmp_path.iterdir()] == ["key"]
    assert made.public not in path.read_text()


def test_a_key_that_everybody_can_use_is_not_used(tmp_path: Path) -> None:
    """Its group may read it: that is how volumes are handed to containers."""
    path = tmp_path / "key"
    made = write_signing_key(str(path))
    os.chmod(path, 0o660)
    assert read_signing_key(str(path)) == made
    os.chmod(path, 0o604)
    with pytest.raises(BundleError, match="every user"):
        read_signing_key(str(path))


def test_a_file_with_something_else_is_no_key(tmp_path: Path) -> None:
    """Nor one whose check sum is not right."""
    path = tmp_path / "key"
    text = (write_signing_key(str(path)), path.read_text())[1]
    for wrong in ("", "no key\n", text.replace("s3d-audit-secret-1-", "s3d-audit-secret-1-A")):
        path.write_text(wrong)
        path.chmod(0o600)
        with pytest.raises(BundleError, match="is no secret key of an audit"):
            read_signing_key(str(path))


def test_only_its_own_signature_of_this_very_message_counts() -> None:
    """Another message, another key, another signature, and a text that is no key do not."""
    signature = KEY.sign(b"message")
    assert has_signed(KEY.public, b"message", signature)
    assert not has_signed(KEY.public, b"massage", signature)
    assert not has_signed(KEY.public, b"message", signature[:-1] + b"\0")
    assert not has_signed(KEY.public, b"message", b"")
    assert not has_signed(SigningKey(b"o" * 32).public, b"message", signature)
    assert not has_signed(KEY.public[:-1], b"message", signature)


def test_the_public_key_is_one_line_or_pem() -> None:
    """Comments in its file are left out; other programs read the PEM, and find the same."""
    assert check_public(f"# site 7\n\n{KEY.public}\n") == KEY.public
    with pytest.raises(BundleError, match="mistyped"):
        check_public(KEY.public[:-1] + ("A" if KEY.public[-1] != "A" else "B"))
    loaded = load_pem_public_key(pem_of(KEY.public).encode())
    assert isinstance(loaded, Ed25519PublicKey)
    loaded.verify(KEY.sign(b"message"), b"message")
