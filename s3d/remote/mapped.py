"""The remote as it looks through a map of buckets: everybody above asks for local buckets, and gets local answers.

A bucket that is a prefix of a larger one has no life of its own at the remote. It is *there* when it holds an object,
or when it is fixed and the larger bucket is there; making it asks for nothing but the larger bucket, and removing it
asks that nothing is left in it. Refusals are the remote's own, or have its words.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from s3d.policy.bucket_map import KEY_BYTES_MAX, BucketMap, Place, listing_of, to_local, to_remote
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Content, Flow, Remote, RemoteStream

_LISTINGS = frozenset({"ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads"})
_PAGE = 1000
Parameters = Mapping[str, Any]


class MappedRemote:
    """Implements `Remote` over another one. `elsewhere` are buckets of other remotes, which a list of all names too."""

    def __init__(self, remote: Remote, buckets: BucketMap, elsewhere: Collection[str] = ()) -> None:
        self._remote = remote
        self._buckets = buckets
        self._elsewhere = elsewhere
        self.close = remote.close
        self._of_buckets: dict[str, Callable[[str, Place, Parameters], Awaitable[Parameters]]] = {
            "HeadBucket": self._head_bucket,
            "CreateBucket": self._create_bucket,
            "DeleteBucket": self._delete_bucket,
        }

    async def call(
        self, operation: str, parameters: Parameters, content: Content | None = None, flow: Flow | None = None
    ) -> Parameters:
        """See `Remote.call`."""
        if operation == "ListBuckets":
            return await self._list_buckets(parameters)
        name = parameters.get("Bucket")
        if name is None:
            return await self._remote.call(operation, parameters, content, flow)
        place = self._place(name)
        of_bucket = self._of_buckets.get(operation) if place.prefix else None
        if of_bucket is not None:
            return await of_bucket(name, place, parameters)
        if operation == "DeleteObject" and len(f"{place.prefix}{parameters['Key']}".encode()) > KEY_BYTES_MAX:
            return {}  # nothing can be there
        output = await self._remote.call(operation, self._translated(operation, place, parameters), content, flow)
        return to_local(name, place, output)

    async def open(self, operation: str, parameters: Parameters) -> RemoteStream:
        """See `Remote.open`: answers with a body name neither bucket nor key."""
        place = self._place(parameters["Bucket"])
        return await self._remote.open(operation, self._translated(operation, place, parameters))

    def _place(self, name: str) -> Place:
        place = self._buckets.place(name)
        if place is None:
            raise RemoteFailure(
                FailureKind.ABSENT,
                code="NoSuchBucket",
                status=404,
                message=f"{name} stays local"
                if self._buckets.stays_local(name)
                else f"{name} is a bucket of the remote that others are mapped into: it is not reached by its name",
            )
        return place

    def _translated(self, operation: str, place: Place, parameters: Parameters) -> dict[str, Any]:
        translated = listing_of(place, parameters) if operation in _LISTINGS else to_remote(place, parameters)
        source = parameters.get("CopySource")
        if source is not None:
            there = self._place(source["Bucket"])
            translated["CopySource"] = {**source, "Bucket": there.bucket, "Key": there.prefix + source["Key"]}
        return translated

    # buckets that are prefixes

    async def _head_bucket(self, name: str, place: Place, parameters: Parameters) -> Parameters:
        output = await self._remote.call("HeadBucket", {**parameters, "Bucket": place.bucket})
        if not place.is_fixed and await self._is_empty(place):
            raise RemoteFailure(FailureKind.ABSENT, code="NoSuchBucket", status=404, message=f"nothing is in {name}")
        return output

    async def _create_bucket(self, name: str, place: Place, parameters: Parameters) -> Parameters:
        await self._remote.call("HeadBucket", {"Bucket": place.bucket})
        return {"Location": f"/{name}"}

    async def _delete_bucket(self, name: str, place: Place, parameters: Parameters) -> Parameters:
        if not await self._is_empty(place):
            raise RemoteFailure(
                FailureKind.PERMANENT,
                code="BucketNotEmpty",
                status=409,
                message=f"The bucket you tried to delete is not empty: {place.bucket}/{place.prefix}",
            )
        return {}

    async def _is_empty(self, place: Place) -> bool:
        listed = await self._remote.call(
            "ListObjectsV2", {"Bucket": place.bucket, "Prefix": place.prefix, "MaxKeys": 1}
        )
        return not listed.get("Contents")

    async def _list_buckets(self, parameters: Parameters) -> Parameters:
        """The remote's buckets under their local names. Where all are prefixes of one, that one is all that is asked.

        (The keys of a site may be good for its prefix only, and ListBuckets refused to them.)
        """
        shared = self._buckets.shared_template
        if shared is not None:
            return await self._list_prefixes(*shared)
        output = await self._remote.call("ListBuckets", parameters)
        created = {one["Name"]: one.get("CreationDate") for one in output.get("Buckets") or ()}
        found = [{"Name": name} for name in self._elsewhere]
        for name in self._buckets.names_at(list(created)):
            if name in self._elsewhere:
                continue  # what this remote has under that name is not what is meant here
            place = self._buckets.place(name)
            assert place is not None, "what was found is somewhere"
            moment = created.get(place.bucket)
            found.append({"Name": name} if moment is None else {"Name": name, "CreationDate": moment})
        return {**output, "Buckets": sorted(found, key=lambda one: one["Name"])}

    async def _list_prefixes(self, bucket: str, prefix: str) -> Parameters:
        names = {*self._buckets.named, *self._elsewhere}
        question: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "Delimiter": "/", "MaxKeys": _PAGE}
        while True:
            listed = await self._remote.call("ListObjectsV2", question)
            names |= {one["Prefix"][len(prefix) : -1] for one in listed.get("CommonPrefixes") or ()}
            if not listed.get("IsTruncated"):
                return {"Buckets": [{"Name": name} for name in sorted(names) if name]}
            question["ContinuationToken"] = listed["NextContinuationToken"]
