"""Where buckets are at the remote: what goes out comes back, and no bucket shows what is another's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d.policy.bucket_map import BucketMap, BucketMapError, MappedBucket, listing_of, to_local, to_remote
from s3d.remote.mapped import MappedRemote

NAMES = st.sampled_from(["photos", "docs", "logs", "company", "site-7"])
KEYS = st.text(min_size=1, max_size=20)


def mapped(name: str, remote_bucket: str = "", prefix: str = "", remote: str = "") -> MappedBucket:
    return MappedBucket(name=name, remote_bucket=remote_bucket, prefix=prefix, remote=remote)


def local(name: str, **more: str) -> MappedBucket:
    return MappedBucket(name=name, stays_local=True, **more)


SITE = (mapped("photos", "company", "site-7/photos/"), mapped("docs", "company", "site-7/docs/"))
EVERY = (mapped("*", "company", "site-7/{bucket}/"), mapped("docs", "archive"))


@pytest.mark.parametrize(
    ("tables", "name", "bucket", "prefix"),
    [
        (SITE, "photos", "company", "site-7/photos/"),
        (SITE, "logs", "logs", ""),
        (EVERY, "photos", "company", "site-7/photos/"),
        (EVERY, "docs", "archive", ""),
        (EVERY, "company", "company", "site-7/company/"),
        ((mapped("*", "{bucket}-edge"),), "photos", "photos-edge", ""),
        ((mapped("*", "{bucket}", "site-7/"),), "photos", "photos", "site-7/"),
        ((mapped("photos", prefix="site-7/"),), "photos", "photos", "site-7/"),
        ((mapped("*", remote="city"),), "photos", "photos", ""),
    ],
)
def test_a_bucket_has_one_place(tables, name, bucket, prefix):
    """Its own table's, else that of `*`, else its own name."""
    place = BucketMap(tables).place(name)
    assert (place.bucket, place.prefix) == (bucket, prefix)


def test_what_others_are_mapped_into_is_not_reached_by_its_name():
    """Or one site would see, and could delete, what belongs to the others."""
    assert BucketMap(SITE).place("company") is None
    assert "company" not in BucketMap(SITE).names_at(["company", "logs"])


@pytest.mark.parametrize("others", [(), SITE, EVERY, (mapped("*", "{bucket}-edge"),)])
def test_what_stays_local_is_nowhere(others):
    """Not under its own name, not by the table for all others, and a bucket there of that name is not it."""
    buckets = BucketMap((*others, local("scratch")))
    assert buckets.place("scratch") is None
    assert "scratch" not in buckets.named
    assert "scratch" not in buckets.names_at(["scratch", "scratch-edge", "logs"])
    assert buckets.key_bytes_max("scratch") == 1024
    assert [name for name in ("scratch", "logs") if buckets.stays_local(name)] == ["scratch"]


@pytest.mark.parametrize(
    ("tables", "field", "said"),
    [
        ((mapped("a", "company", "x"),), "prefix", "no / at its end"),
        ((mapped("a", "company", "/x/"),), "prefix", "begins with /"),
        ((mapped("a", "company", "{bucket}/"),), "name", 'for name = "\\*"'),
        ((mapped("*", "company", "x/"),), "prefix", "need {bucket} once"),
        ((mapped("*", "{bucket}", "{bucket}/"),), "prefix", "need {bucket} once"),
        ((mapped("*", "company", "{bucket}/x/"),), "prefix", "end with {bucket}/"),
        ((mapped("a", "company", "x/"), mapped("a", "other")), "name", "two tables"),
        ((mapped("a", ""),), "remote_bucket", "not set"),
        ((local("abc"), mapped("abc", "company")), "name", "two tables"),
        ((local("abc", remote_bucket="company"),), "remote_bucket", "nowhere at the remote"),
        ((local("abc", prefix="x/"),), "prefix", "nowhere at the remote"),
        ((local("*"),), "name", "bucket by bucket"),
        ((local("Abc"),), "name", "no name"),
        ((local("a..b"),), "name", "no name"),
        ((mapped("*", "company", "{bucket}/"), mapped("*", "{bucket}")), "name", "already"),
        ((mapped("a", "company", "x/"), mapped("b", "company", "x/y/")), "prefix", "not apart"),
        ((mapped("a", "company"), mapped("b", "company", "x/")), "prefix", "not apart"),
        ((mapped("*", "company", "x/{bucket}/"), mapped("b", "company", "x/y/")), "prefix", "not apart"),
    ],
)
def test_tables_that_cannot_be(tables, field, said):
    """Each is refused with the setting that is wrong."""
    with pytest.raises(BucketMapError, match=said) as caught:
        BucketMap(tables)
    assert caught.value.field == field
    assert caught.value.hint


@given(tables=st.sampled_from([SITE, EVERY]), name=NAMES, key=KEYS, prefix=st.text(max_size=5))
def test_what_goes_out_comes_back(tables, name, key, prefix):
    """Keys, prefixes and markers in both directions."""
    place = BucketMap(tables).place(name)
    if place is None:
        return
    sent = to_remote(place, {"Bucket": name, "Key": key, "Prefix": prefix, "StartAfter": key, "MaxKeys": 7})
    assert sent["Key"] == place.prefix + key
    assert sent["MaxKeys"] == 7
    back = to_local(name, place, {**sent, "Name": place.bucket, "NextKeyMarker": sent["Key"]})
    assert (back["Bucket"], back["Name"]) == (name, name)
    assert (back["Key"], back["Prefix"], back["StartAfter"], back["NextKeyMarker"]) == (key, prefix, key, key)


@given(keys=st.lists(st.tuples(st.sampled_from(["photos", "docs"]), KEYS), unique=True))
def test_a_listing_shows_the_bucket_and_nothing_else(keys):
    """Of everything that lies in the larger bucket, exactly what was put into this one."""
    buckets = BucketMap(SITE)
    stored = sorted(to_remote(buckets.place(name), {"Bucket": name, "Key": key})["Key"] for name, key in keys)
    for name in ("photos", "docs"):
        place = buckets.place(name)
        asked = listing_of(place, {"Bucket": name})
        contents = [{"Key": key, "Size": 1} for key in stored if key.startswith(asked["Prefix"])]
        shown = to_local(name, place, {"Contents": contents, "CommonPrefixes": [{"Prefix": asked["Prefix"] + "a/"}]})
        assert {one["Key"] for one in shown["Contents"]} == {key for owner, key in keys if owner == name}
        assert shown["CommonPrefixes"] == [{"Prefix": "a/"}]


def test_a_key_has_to_fit_at_the_remote():
    """The prefix takes its bytes from the 1,024."""
    assert BucketMap(SITE).key_bytes_max("photos") == 1024 - len("site-7/photos/")
    assert BucketMap(SITE).key_bytes_max("logs") == 1024


TENANTS = (
    mapped("permits", "shared", remote="city"),
    mapped("photos", "shared"),
    mapped("plans", remote="city"),
    mapped("*", "{bucket}-site", remote="county"),
)


@pytest.mark.parametrize("tables", [TENANTS, TENANTS[:3], ()])
def test_every_bucket_is_at_one_remote(tables):
    """Its own table's, else that of `*`, else `[remote]`; the sets of buckets at each say the same."""
    map_ = BucketMap(tables)
    expected = {"permits": "city", "plans": "city", "photos": ""} if tables else {}
    for name in ("permits", "plans", "photos", "other"):
        found = map_.remote_of(name)
        assert found == expected.get(name, map_.remote_of_others)
        assert [one for one in ("", "city", "county") if name in map_.buckets_at(one)] == [found]
        assert (name in map_.named_elsewhere("")) == (name in expected and found != "")
    assert map_.remote_of_others == ("county" if len(tables) == 4 else "")


def test_equal_places_at_two_remotes_are_two_places():
    """A name of one remote says nothing of the other: neither is it taken there, nor in the way."""
    map_ = BucketMap(TENANTS[:3])
    assert map_.of("city").place("permits").bucket == map_.of("").place("photos").bucket == "shared"
    assert map_.of("city").names_at(["plans", "stray"]) == ["permits", "plans", "stray"]
    assert BucketMap((mapped("a", "shared", remote="city"),)).place("shared") is not None
    with pytest.raises(BucketMapError, match="not apart"):
        BucketMap((mapped("a", "shared", remote="city"), mapped("b", "shared", "x/", remote="city")))


async def test_a_list_names_the_buckets_of_other_remotes_once():
    """What the remote that is asked has under such a name is not what is meant."""

    class Listing:
        async def close(self): ...

        async def call(self, operation, parameters, content=None, flow=None):
            return {"Buckets": [{"Name": name, "CreationDate": 1} for name in ("logs", "permits", "shared")]}

    map_ = BucketMap(TENANTS[:3])
    listed = await MappedRemote(Listing(), map_.of(""), map_.named_elsewhere("")).call("ListBuckets", {})
    shown = [(one["Name"], one.get("CreationDate")) for one in listed["Buckets"]]
    assert shown == [("logs", 1), ("permits", None), ("photos", 1), ("plans", None)]
