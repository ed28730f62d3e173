"""`[[other_remote]]` and `bucket.remote`: read strictly, and what refers to nothing stops the start."""

import pytest

from s3d.config import load
from s3d.errors import ConfigurationError

REMOTE = '[remote]\nendpoint = "https://store.example"\n'
CITY = '[[other_remote]]\nname = "city"\nendpoint = "https://city.example"\n'
BUCKET = '[[bucket]]\nname = "permits"\n'


@pytest.fixture
def read(tmp_path):
    def read(text, **environ):
        path = tmp_path / "s3d.toml"
        path.write_text(text)
        return load({}, {"HOME": str(tmp_path)} | environ, str(path))

    return read


def test_another_remote_has_the_settings_of_the_first(read):
    """And its keys show themselves no more than those do."""
    found = read(REMOTE + CITY + 'access_key = "k"\nsecret_key = "hush"\nlanes_max = 4\n' + BUCKET + 'remote = "city"')
    (city,) = found.other_remotes
    assert (city.name, city.endpoint_url, city.lanes_max, city.secret_key.reveal()) == (
        "city",
        "https://city.example",
        4,
        "hush",
    )
    assert "hush" not in repr(found)
    assert found.buckets[0].remote == "city"


def test_the_first_may_come_from_the_environment(read):
    """As ever; the others are named in the file."""
    assert read(CITY, S3_ENDPOINT="https://store.example").remote.configured


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        (CITY, "other_remote 1: city is another remote, but there is no \\[remote\\]", "set remote.endpoint"),
        (REMOTE + CITY + CITY, "other_remote 2: name: city is taken", "of its own"),
        (REMOTE + CITY.replace("city", "default"), "other_remote 1: name: reports call", "another name"),
        (REMOTE + CITY.replace('"city"', '"City"'), "other_remote 1: expected", "for instance"),
        (REMOTE + '[[other_remote]]\nname = "city"\n', "other_remote 1: .*`endpoint`", "for instance"),
        (REMOTE + CITY.replace("https", "ftp"), "other_remote 1: endpoint: ", "write https://"),
        (REMOTE + CITY + 'secret_key = "hush"', "other_remote 1: access_key and secret_key belong", "set both"),
        (REMOTE + CITY + 'acess_key = "hush"', "other_remote 1: unknown setting acess_key", "access_key"),
        (REMOTE + CITY.replace("https://city.example", "http://localhost:33333"), "is this daemon itself", ""),
        (REMOTE + CITY + BUCKET + 'remote = "citi"', "bucket 1: remote: .* name citi", "did you mean city"),
        (REMOTE + BUCKET + 'remote = "city"', "bucket 1: remote: .* name city", "there are none"),
    ],
)
def test_what_cannot_be_is_named_with_its_table(read, text, said, hint):
    """File, table, setting, and what to do; never a value that may be a secret."""
    with pytest.raises(ConfigurationError, match=said) as caught:
        read(text)
    assert "s3d.toml" in caught.value.message
    assert hint in caught.value.hint
    assert "hush" not in caught.value.message + caught.value.hint
