"""As many descriptors as the configuration can need, or no start."""

import resource

import pytest

from s3d.errors import ConfigurationError
from s3d.http import descriptors
from s3d.http.descriptors import CONNECTIONS_MAX, CONNECTIONS_MIN, OWN_FILES, reserve


@pytest.fixture
def limits(monkeypatch):
    """Soft and hard limit, as they are set; nothing of this process is changed."""
    now = [1024, 20_000]
    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda _: tuple(now))
    monkeypatch.setattr(descriptors.resource, "setrlimit", lambda _, given: now.__setitem__(slice(None), given))
    return now


def test_the_soft_limit_is_raised_as_far_as_needed(limits):
    """Not further: what is not needed stays forbidden."""
    assert reserve(5000, 1000) == 5000
    assert limits == [5000 + 1000 + OWN_FILES, 20_000]


def test_a_limit_that_is_high_enough_is_left_alone(limits):
    """Also one that is none."""
    limits[:] = [resource.RLIM_INFINITY, resource.RLIM_INFINITY]
    assert reserve(None, 1000) == CONNECTIONS_MAX
    assert limits == [resource.RLIM_INFINITY, resource.RLIM_INFINITY]


def test_a_number_that_was_asked_for_is_refused_with_a_hint(limits):
    """Never quietly made smaller."""
    with pytest.raises(ConfigurationError) as caught:
        reserve(30_000, 1000)
    assert str(30_000 + 1000 + OWN_FILES) in caught.value.message
    assert "LimitNOFILE" in caught.value.hint
    assert limits == [1024, 20_000]


def test_without_a_number_there_are_as_many_connections_as_fit(limits):
    """Down to where a daemon is of no use."""
    limits[1] = 4096
    assert reserve(None, 1000) == 4096 - 1000 - OWN_FILES
    limits[:] = [1024, 1000 + OWN_FILES + CONNECTIONS_MIN - 1]
    with pytest.raises(ConfigurationError):
        reserve(None, 1000)
