"""Everything that a client, a machine and a link can do to an edge, as rules; hypothesis chooses and shortens."""

import signal
import sys
import time
from dataclasses import replace
from typing import Any
from urllib.parse import unquote_plus

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from model.dictionary import ANY_ETAG, Dictionary
from model.nursery import Nursery
from model.site import Site
from model.values import Attributes, Object, Upload, body_of, md5
from model.wire import Answer, complete_document, copy_source, delete_document, put_headers, tagging_document

INLINE_BYTES_MAX = 8192
BUCKETS = ("one", "two", "old")  # the last one was at the remote before
KEYS = ("a", "a/b", "a/b/c", "b+ c", "dir/", "dir/ü", "🛰")
PREFIXES = ("", "a", "a/", "a/b", "dir/", "b+", "nothing")
SIZES = (0, 1, 1000, INLINE_BYTES_MAX - 1, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, 30_000)
ATTRIBUTES = (
    Attributes(),
    Attributes("text/plain; charset=utf-8"),
    Attributes("", {"place": "roof, north side"}),
    Attributes("a/b", {"n": "1", "empty": ""}),
)
TAGS: tuple[dict[str, str], ...] = ({}, {"kind": "raw"}, {"a b": "c/d+e=f@g", "ü": "", "n": "1"})
RANGES = ((0, 0), (0, 9), (500, None), (None, 10), (8191, 8192), (29_999, None), (50_000, None))
BARRIERS: tuple[dict[str, str], ...] = ({}, {"x-s3d-order-barrier": "true"}, {"x-s3d-order-barrier": "false"})
PART_SIZES = (10, 1000, 1500, INLINE_BYTES_MAX + 1)
Range = tuple[int | None, int | None]

buckets, keys = st.sampled_from(BUCKETS), st.sampled_from(KEYS)
ours = st.sampled_from(BUCKETS[:2])
attributes, tags = st.sampled_from(ATTRIBUTES), st.sampled_from(TAGS)
bodies = st.builds(body_of, st.integers(0, 3), st.sampled_from(SIZES))
conditions = st.sampled_from(("", "", "absent", "current", "another"))
orders = st.sampled_from(({}, {}, {}, *({"x-s3d-order-group": "g"} | barrier for barrier in BARRIERS)))
uploads = st.integers(0, 5)
numbers = st.integers(1, 3)


class Machine(RuleBasedStateMachine):
    """One example: a site, a dictionary, and the steps that are taken with both. `nursery` comes from the run."""

    nursery: Nursery
    site: Site
    steps = 0
    examples = 0

    def __init__(self) -> None:
        super().__init__()
        self.model = Dictionary()

    @initialize(
        memory=st.sampled_from((0, 1_000_000)),
        cache=st.sampled_from((0, 20_000, 10_000_000)),
        lanes=st.sampled_from((1, 32)),
        token=st.booleans(),
        old=st.booleans(),
    )
    def begin(self, memory: int, cache: int, lanes: int, token: bool, old: bool) -> None:
        settings = {
            "cache.body_memory_bytes": memory,
            "cache.capacity_bytes": cache,
            "remote.lanes_max": lanes,
            "remote.identity_token": token,
            "remote.sender": "inside",  # in the nursery it is imported already
        }
        self.site = Site(self.nursery, self.model, settings)
        if old:
            self._write_at_remote()
        self.site.start_edge()
        for bucket in BUCKETS[:2]:
            assert self.site.edge.ask("PUT", bucket).ok
            self.model.buckets[bucket] = {}

    def teardown(self) -> None:
        """The end of every example: all arrives, and is there as it was written."""
        type(self).examples += 1
        if not hasattr(self, "site"):
            return
        try:
            if sys.exc_info()[0] is None:  # otherwise a step has failed, and that is what is to be seen
                self.site.settle()
                self.site.check(settled=True)
                self.site.check_end()
        finally:
            self.site.close()

    def check_invariants(self, *arguments: Any) -> None:
        """Called by hypothesis after every step."""
        type(self).steps += 1
        super().check_invariants(*arguments)

    # buckets

    @rule(bucket=buckets)
    def create_bucket(self, bucket: str) -> None:
        if bucket in self.site.foreign and self.site.wobbly:
            return  # decision 25 lets a stranger's bucket be created offline; what is in it shows later
        assert self.site.edge.ask("PUT", bucket).ok
        self.model.buckets.setdefault(bucket, {})

    @rule(bucket=buckets, empty=st.booleans(), again=st.booleans())
    def delete_bucket(self, bucket: str, empty: bool, again: bool) -> None:
        """Perhaps emptied before, and perhaps created again at once."""
        if empty and bucket in self.model.buckets:
            self._delete_many(bucket, list(self.model.buckets[bucket]))
        refusal = self.model.bucket_refusal(bucket) or ("BucketNotEmpty" if self.model.buckets[bucket] else "")
        if self._agrees(self.site.edge.ask("DELETE", bucket), refusal, bucket):
            self.model.delete_bucket(bucket)
            if again and bucket not in self.site.foreign:
                self.create_bucket(bucket)

    @rule()
    def list_buckets(self) -> None:
        self.site.check_buckets(self.site.edge)

    # objects

    @rule(bucket=buckets, key=keys, body=bodies, attributes=attributes, tags=tags, condition=conditions, order=orders)
    def put(
        self,
        bucket: str,
        key: str,
        body: bytes,
        attributes: Attributes,
        tags: dict[str, str],
        condition: str,
        order: dict[str, str],
    ) -> None:
        conditional = self.model.condition(condition, bucket, key)
        headers = put_headers(attributes, tags, conditional) | order
        answer = self.site.edge.ask("PUT", bucket, key, headers=headers, body=body)
        if self._agrees(answer, self.model.write_refusal(bucket, key, conditional), bucket):
            assert answer.etag == md5(body)
            self.model.write(bucket, key, Object.whole(body, attributes, tags))
        self._look(bucket, key)

    @rule(bucket=buckets, key=keys, condition=conditions, order=orders)
    def delete(self, bucket: str, key: str, condition: str, order: dict[str, str]) -> None:
        conditional = self.model.condition(condition if condition != "absent" else "", bucket, key)
        answer = self.site.edge.ask("DELETE", bucket, key, headers=conditional | order)
        if self._agrees(answer, self.model.write_refusal(bucket, key, conditional), bucket):
            self.model.delete(bucket, [key])
        self._look(bucket, key)

    @rule(bucket=buckets, which=st.lists(keys, min_size=1, max_size=4, unique=True))
    def delete_many(self, bucket: str, which: list[str]) -> None:
        self._delete_many(bucket, which)

    @rule(
        of=st.tuples(buckets, keys),
        to=st.tuples(buckets, keys),
        anew=st.booleans(),
        attributes=attributes,
        tags_anew=st.booleans(),
        tags=tags,
        condition=conditions,
    )
    def copy(
        self,
        of: tuple[str, str],
        to: tuple[str, str],
        anew: bool,
        attributes: Attributes,
        tags_anew: bool,
        tags: dict[str, str],
        condition: str,
    ) -> None:
        """Across keys and buckets, or onto itself."""
        conditional = self.model.condition(condition, *to)
        headers = copy_source(*of)
        if anew:
            headers |= put_headers(attributes, {}, {}) | {"x-amz-metadata-directive": "REPLACE"}
        if tags_anew:
            headers |= put_headers(Attributes(), tags, {})
            headers["x-amz-tagging-directive"] = "REPLACE"
        answer = self.site.edge.ask("PUT", *to, headers=headers | conditional)
        found = self.model.find(*of)
        refusal = self.model.key_refusal(*of)
        if not refusal and of == to and not anew:
            refusal = "InvalidRequest"
        refusal = refusal or self.model.write_refusal(*to, conditional)
        if not self._has_left(answer, *of) and self._agrees(answer, refusal, to[0], of[0]):
            assert found is not None
            copied = Object.whole(
                found.body, attributes if anew else found.attributes, tags if tags_anew else found.tags
            )
            assert answer.xml.findtext("ETag") == f'"{copied.etag}"'
            self.model.write(*to, copied)
        self._look(*to)

    @rule(bucket=buckets, key=keys, tags=tags)
    def tag(self, bucket: str, key: str, tags: dict[str, str]) -> None:
        answer = self.site.edge.ask("PUT", bucket, key, {"tagging": ""}, body=tagging_document(tags))
        self._tagged(answer, bucket, key, tags)

    @rule(bucket=buckets, key=keys)
    def untag(self, bucket: str, key: str) -> None:
        self._tagged(self.site.edge.ask("DELETE", bucket, key, {"tagging": ""}), bucket, key, {})

    # reads

    @rule(bucket=buckets, key=keys, span=st.sampled_from(RANGES))
    def get_range(self, bucket: str, key: str, span: Range) -> None:
        first, last = span
        text = f"bytes={'' if first is None else first}-{'' if last is None else last}"
        answer = self.site.edge.ask("GET", bucket, key, headers={"Range": text})
        found = self.model.find(bucket, key)
        refusal = self.model.key_refusal(bucket, key)
        if found is not None:
            size = len(found.body)
            start, end = (
                (max(0, size - (last or 0)), size) if first is None else (first, size if last is None else last + 1)
            )
            refusal = "InvalidRange" if start >= size else ""
        if not self._has_left(answer, bucket, key) and self._agrees(answer, refusal, bucket):
            assert answer.status == 206
            assert answer.body == found.body[start:end]
            assert answer.headers["content-range"] == f"bytes {start}-{min(end, size) - 1}/{size}"

    @rule(bucket=buckets, key=keys, number=st.integers(1, 4))
    def get_part(self, bucket: str, key: str, number: int) -> None:
        found = self.model.find(bucket, key)
        if found is None or not found.parts:
            return
        answer = self.site.edge.ask("GET", bucket, key, {"partNumber": str(number)})
        sizes = dict(found.parts)
        if not self._has_left(answer, bucket, key) and self._agrees(
            answer, "" if number in sizes else "InvalidPartNumber", bucket
        ):
            start = sum(size for one, size in found.parts if one < number)
            assert answer.body == found.body[start : start + sizes[number]]
            assert answer.headers["x-amz-mp-parts-count"] == str(len(sizes))

    @rule(
        bucket=buckets,
        key=keys,
        name=st.sampled_from(("If-Match", "If-None-Match")),
        holds=st.booleans(),
        method=st.sampled_from(("GET", "HEAD")),
    )
    def read_if(self, bucket: str, key: str, name: str, holds: bool, method: str) -> None:
        found = self.model.find(bucket, key)
        named = f'"{found.etag}"' if found is not None and holds == (name == "If-Match") else ANY_ETAG
        answer = self.site.edge.ask(method, bucket, key, headers={name: named})
        if self._has_left(answer, bucket, key) or (answer.status == 503 and self.site.may_not_know(bucket)):
            return
        if found is None:
            assert answer.status == 404, answer
        elif holds:
            self.site.check_description(f"{bucket}/{key}", answer, found)
        else:
            assert answer.status == (412 if name == "If-Match" else 304), answer

    @rule(
        bucket=buckets,
        prefix=st.sampled_from(PREFIXES),
        delimiter=st.sampled_from(("", "/")),
        entries=st.sampled_from((1, 2, 1000)),
        version=st.sampled_from((1, 2)),
    )
    def list_objects(self, bucket: str, prefix: str, delimiter: str, entries: int, version: int) -> None:
        """All pages, one after the other."""
        query = {"prefix": prefix, "delimiter": delimiter, "max-keys": str(entries), "encoding-type": "url"}
        if version == 2:
            query["list-type"] = "2"
        found: list[str] = []
        while True:
            answer = self.site.edge.ask("GET", bucket, query=query)
            if not self._agrees(answer, self.model.bucket_refusal(bucket), bucket):
                return
            entries_of_page = [*answer.all("Contents/Key"), *answer.all("CommonPrefixes/Prefix")]
            assert len(entries_of_page) <= entries
            found += sorted(unquote_plus(one) for one in entries_of_page)
            if answer.xml.findtext("IsTruncated") == "false":
                break
            assert entries_of_page, "a page of nothing, and more to come"
            if version == 2:
                query["continuation-token"] = answer.xml.findtext("NextContinuationToken", "")
            else:
                query["marker"] = unquote_plus(answer.xml.findtext("NextMarker") or answer.all("Contents/Key")[-1])
        wanted = self.model.listing(bucket, prefix, delimiter)
        assert found == wanted, f"{found} instead of {wanted}"

    # uploads

    @rule(bucket=buckets, key=keys, attributes=attributes, tags=tags)
    def create_upload(self, bucket: str, key: str, attributes: Attributes, tags: dict[str, str]) -> None:
        answer = self.site.edge.ask("POST", bucket, key, {"uploads": ""}, put_headers(attributes, tags, {}))
        if self._agrees(answer, self.model.bucket_refusal(bucket), bucket):
            upload = Upload(bucket, key, answer.xml.findtext("UploadId", ""), attributes, tags)
            self.model.uploads.append(upload)

    @precondition(lambda self: self.model.uploads)
    @rule(which=uploads, number=numbers, part=st.tuples(st.integers(0, 3), st.sampled_from(PART_SIZES)))
    def upload_part(self, which: int, number: int, part: tuple[int, int]) -> None:
        upload, body = self._upload(which), body_of(*part)
        query = {"partNumber": str(number), "uploadId": upload.id}
        answer = self.site.edge.ask("PUT", upload.bucket, upload.key, query, body=body)
        if self._agrees(answer, "" if upload.open else "NoSuchUpload", upload.bucket):
            assert answer.etag == md5(body)
            upload.parts[number] = body

    @precondition(lambda self: self.model.uploads)
    @rule(which=uploads, number=numbers, bucket=buckets, key=keys, part_of_it=st.booleans())
    def upload_part_copy(self, which: int, number: int, bucket: str, key: str, part_of_it: bool) -> None:
        upload, found = self._upload(which), self.model.find(bucket, key)
        query = {"partNumber": str(number), "uploadId": upload.id}
        headers = copy_source(bucket, key)
        if part_of_it and found is not None and len(found.body) > 2:
            headers["x-amz-copy-source-range"] = f"bytes=1-{len(found.body) - 2}"
        answer = self.site.edge.ask("PUT", upload.bucket, upload.key, query, headers)
        refusal = "" if upload.open else "NoSuchUpload"
        refusal = refusal or self.model.key_refusal(bucket, key)
        if not self._has_left(answer, bucket, key) and self._agrees(answer, refusal, upload.bucket, bucket):
            assert found is not None
            body = found.body[1:-1] if "x-amz-copy-source-range" in headers else found.body
            assert answer.xml.findtext("ETag") == f'"{md5(body)}"'
            upload.parts[number] = body

    @precondition(lambda self: self.model.uploads)
    @rule(which=uploads, leave_out=st.integers(0, 3), wrong=st.sampled_from((False, False, True)), condition=conditions)
    def complete(self, which: int, leave_out: int, wrong: bool, condition: str) -> None:
        """Of all parts but one, which there may not be; again and again, too."""
        upload = self._upload(which)
        conditional = self.model.condition(condition, upload.bucket, upload.key)
        chosen = [number for number in sorted(upload.parts) if number != leave_out] or [1]
        claimed = [(number, md5(upload.parts.get(number, b"")) if not wrong else "0" * 32) for number in chosen]
        answer = self.site.edge.ask(
            "POST", upload.bucket, upload.key, {"uploadId": upload.id}, conditional, complete_document(claimed)
        )
        refusal = self.model.complete_refusal(upload, claimed, conditional)
        if self._agrees(answer, refusal, upload.bucket):
            if not upload.completed:
                it = upload.object_of(chosen)
                upload.completed = it.etag
                self.model.write(upload.bucket, upload.key, it)
            assert answer.xml.findtext("ETag") == f'"{upload.completed}"'
        self._look(upload.bucket, upload.key)

    @precondition(lambda self: self.model.uploads)
    @rule(which=uploads)
    def abort(self, which: int) -> None:
        upload = self._upload(which)
        answer = self.site.edge.ask("DELETE", upload.bucket, upload.key, {"uploadId": upload.id})
        if self._agrees(answer, "" if upload.open else "NoSuchUpload", upload.bucket):
            upload.aborted = True

    # what happens to machine, link and journal

    @rule()
    def restart(self) -> None:
        self._come_back(signal.SIGTERM, forget_view=False)

    @rule(forget_view=st.booleans(), again=st.sampled_from((0.0, 0.0, 0.004, 0.015, 0.04)))
    def crash(self, forget_view: bool, again: float) -> None:
        """Perhaps once more while it is starting, and perhaps without its view."""
        self._come_back(signal.SIGKILL, forget_view=forget_view, again=again)

    @rule()
    def cut(self) -> None:
        self.site.cut()

    @rule()
    def link_back(self) -> None:
        self.site.proxy.restore()

    @rule(method=st.sampled_from(("PUT", "POST", "DELETE", "GET")), times=st.integers(1, 3))
    def lose_answers(self, method: str, times: int) -> None:
        self.site.lose_answers(method, times)

    @rule()
    def restart_remote(self) -> None:
        self.site.restart_remote()

    @rule()
    def settle(self) -> None:
        self.site.settle()
        self.site.check(settled=True)

    @rule(bucket=ours, key=keys, count=st.sampled_from((9, 18)))
    def rotate(self, bucket: str, key: str, count: int) -> None:
        """So many small bodies that the journal goes on in another file."""
        for number in range(count):
            self.put(bucket, key, body_of(number, INLINE_BYTES_MAX), ATTRIBUTES[0], {}, "", {})

    @rule(seconds=st.sampled_from((0.002, 0.02, 0.1)))
    def idle(self, seconds: float) -> None:
        """Upkeep and replicator go on."""
        time.sleep(seconds)

    @rule()
    def check(self) -> None:
        self.site.check()

    # inside

    def _write_at_remote(self) -> None:
        """A bucket that was there before, with objects of every size."""
        remote = self.site.remote
        self.site.foreign.add("old")
        assert remote.ask("PUT", "old").ok
        self.model.buckets["old"] = {}
        for number, key in enumerate(KEYS[:4]):
            it = Object.whole(body_of(number, SIZES[2 * number]), ATTRIBUTES[number], TAGS[number % 3])
            answer = remote.ask("PUT", "old", key, headers=put_headers(it.attributes, it.tags, {}), body=it.body)
            assert answer.ok, (answer, self.site.remote_log)
            self.model.write("old", key, it)

    def _come_back(self, number: int, *, forget_view: bool, again: float = 0.0) -> None:
        self.site.end_edge(number)
        if forget_view:
            self.site.forget_view()
        if again:
            self.site.start_and_kill(again)
        self.site.start_edge()
        self.site.check()

    def _agrees(self, answer: Answer, refusal: str, *buckets: str) -> bool:
        """Whether it was done. Anything but what the dictionary says is a failure, or that the edge cannot know."""
        if answer.code == refusal:
            return answer.ok
        cannot_know = any(self.site.cannot_know(answer, bucket) for bucket in buckets)
        assert cannot_know, (
            f"{answer.status} {answer.code or 'success'} instead of {refusal or 'success'}\n{answer.body!r}"
        )
        return False

    def _has_left(self, answer: Answer, bucket: str, key: str) -> bool:
        return self.model.find(bucket, key) is not None and self.site.has_left(answer, bucket, key)

    def _look(self, bucket: str, key: str) -> None:
        """Read your writes."""
        head, found = self.site.edge.ask("HEAD", bucket, key), self.model.find(bucket, key)
        if head.status == 503 and self.site.may_not_know(bucket):
            return
        if found is None:
            assert head.status == 404, head
        else:
            self.site.check_description(f"{bucket}/{key}", head, found)

    def _delete_many(self, bucket: str, which: list[str]) -> None:
        if not which:
            return
        answer = self.site.edge.ask("POST", bucket, query={"delete": ""}, body=delete_document(which))
        if self._agrees(answer, self.model.bucket_refusal(bucket), bucket):
            assert answer.all("Deleted/Key") == which
            assert not answer.all("Error/Key")
            self.model.delete(bucket, which)

    def _tagged(self, answer: Answer, bucket: str, key: str, tags: dict[str, str]) -> None:
        if self._agrees(answer, self.model.key_refusal(bucket, key), bucket):
            found = self.model.find(bucket, key)
            assert found is not None
            self.model.write(bucket, key, replace(found, tags=tags))

    def _upload(self, which: int) -> Upload:
        return self.model.uploads[which % len(self.model.uploads)]
