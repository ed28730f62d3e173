"""Bucket, key and query from the target as it was sent: one parse, which everything behind it shares."""

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d.errors import S3Error
from s3d.http.address import bucket_of_host, of_object, parse

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), text)
def test_any_key_survives_its_encoding(bucket, key):
    """Whatever a client quotes comes back; a slash that ends the bucket was sent as one."""
    found = parse(f"/{quote(bucket, safe='')}/{quote(key, safe='/')}")
    assert (found.bucket, found.key) == (bucket, key)
    assert parse(f"/{quote(bucket, safe='')}/{quote(key, safe='')}").key == key


@given(st.lists(st.tuples(text, st.one_of(st.none(), text)), max_size=5))
def test_any_query_survives_its_encoding(pairs):
    """Also `+` for a blank, empty values, and names without a value."""
    sent = "&".join(quote_plus(name) + ("" if value is None else "=" + quote_plus(value)) for name, value in pairs)
    assert parse(f"/b/k?{sent}").query == [(n, v) for n, v in pairs if n or v is not None]


@given(st.text(st.characters(min_codepoint=33, max_codepoint=0x1FFF), max_size=30))
def test_no_target_is_a_surprise(target):
    """Anything is an address or an S3Error."""
    code, found = "", None
    try:
        found = parse(target)
    except S3Error as error:
        code = error.code
    assert code in {"", "InvalidURI", "InvalidBucketName"}
    assert found is None or found.bucket or not found.key


@pytest.mark.parametrize(
    ("target", "bucket", "key"),
    [
        ("/", "", ""),
        ("/b", "b", ""),
        ("/b/", "b", ""),
        ("/b//", "b", "/"),
        ("/b/../c", "b", "../c"),
        ("/b/%2e%2e/c", "b", "../c"),
        ("/a%2Fb/k", "a/b", "k"),
        ("/b/%2Fk", "b", "/k"),
        ("/b/a+b", "b", "a+b"),
        ("/b/k%3Fx", "b", "k?x"),
        ("http://host", "", ""),
        ("http://host/b/k", "b", "k"),
        ("HTTPS://host:1/b/k?x", "b", "k"),
    ],
)
def test_targets(target, bucket, key):
    """Nothing is normalised: `..`, `//` and `%2F` are parts of keys."""
    found = parse(target)
    assert (found.bucket, found.key) == (bucket, key)


@pytest.mark.parametrize(
    "target", ["", "k", "*", "ftp://h/b", "/b/%", "/b/%2", "/b/%zz", "/b/%ff", "/b#x", "/b?%fe", "/b/\udcff"]
)
def test_targets_that_are_none(target):
    with pytest.raises(S3Error) as error:
        parse(target)
    assert error.value.code == "InvalidURI"


@pytest.mark.parametrize("target", ["//k", "///", "//k?list-type=2", "http://host//k"])
def test_a_key_of_no_bucket(target):
    """It must not become a request for the list of buckets."""
    with pytest.raises(S3Error) as error:
        parse(target)
    assert error.value.code == "InvalidBucketName"


DOMAINS = ("s3.site.local", "local", "10.0.0.1.nip.io")


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("photos.s3.site.local", "photos"),
        ("photos.s3.site.local:33333", "photos"),
        ("PHOTOS.S3.Site.Local.", "photos"),
        ("a.b.s3.site.local", "a.b"),
        ("s3.site.local", ""),
        ("s3.site.local:80", ""),
        ("other.local", "other"),
        ("b.10.0.0.1.nip.io", "b"),
        ("photoss3.site.local.example", ""),
        ("localhost", ""),
        ("127.0.0.1:33333", ""),
        ("[::1]:33333", ""),
        (".s3.site.local", ""),
        (":", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_a_host_names_a_bucket_under_a_base_domain_only(host, bucket):
    """The longest base domain counts; any other name leaves the bucket to the path."""
    assert bucket_of_host(host, DOMAINS) == bucket
    assert bucket_of_host(host, ()) == ""


@given(text)
def test_under_a_hosts_bucket_the_whole_path_is_the_key(key):
    """Slashes at its beginning too."""
    found = parse(f"/{quote(key)}?uploads", "photos")
    assert (found.bucket, found.key, found.query) == ("photos", key, [("uploads", None)])


@given(st.text(max_size=40))
def test_no_host_is_a_surprise(host):
    """A bucket, perhaps one that cannot be, or none: what it is called is judged where all names are."""
    bucket = bucket_of_host(host, DOMAINS)
    assert host.lower().startswith(bucket)


@pytest.mark.parametrize(
    ("target", "headers", "url"),
    [
        ("/b/a%20k?uploadId=x", {"Host": "edge:9000"}, "http://edge:9000/b/a%20k"),
        ("/k", {"Host": "b.s3.site.local"}, "http://b.s3.site.local/k"),
        ("http://other/b/k?x", {"Host": "edge"}, "http://edge/b/k"),
        ("/b/k", {"Host": "edge", "X-Forwarded-Proto": "https"}, "https://edge/b/k"),
        ("/b/k", {"Host": "edge", "X-Forwarded-Proto": "javascript"}, "http://edge/b/k"),
        ("/b/k", {}, ""),
    ],
)
def test_where_an_object_is(target, headers, url):
    """The URL by which the client named it, without the query; nothing where it named no host."""
    assert of_object(target, headers) == url
