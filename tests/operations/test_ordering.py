"""What a client may say of the order of its writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d.errors import S3Error
from s3d.operations.ordering import BARRIER_HEADER, GROUP_CHARACTERS_MAX, GROUP_HEADER, read_order
from s3d.values import Order


@given(st.one_of(st.none(), st.text(max_size=300)), st.one_of(st.none(), st.sampled_from(["true", "false"]), st.text()))
def test_what_is_not_understood_is_refused(group, barrier):
    """Either an order, or none because nothing is asked for, or InvalidArgument that names the header."""
    is_name = group is not None and 1 <= len(group) <= GROUP_CHARACTERS_MAX and group.isprintable()
    is_asked = is_name and barrier in {None, "true", "false"}
    if is_asked or (group, barrier) == (None, None):
        assert (read_order(group, barrier) is None) == (group is None)
        return
    with pytest.raises(S3Error) as refused:
        read_order(group, barrier)
    assert refused.value.code == "InvalidArgument"
    assert refused.value.details["ArgumentName"] in {GROUP_HEADER, BARRIER_HEADER}
    assert refused.value.details["ArgumentValue"].isascii()


@pytest.mark.parametrize(("header", "barrier"), [(None, None), ("true", True), ("false", False)])
def test_a_place_in_a_group(header, barrier):
    """The three places that there are."""
    assert read_order("g" * GROUP_CHARACTERS_MAX, header) == Order("g" * GROUP_CHARACTERS_MAX, barrier)
