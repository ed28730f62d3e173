"""Which buckets there are."""

from s3d.errors import S3Error, lost_here, no_such_bucket, remote_unreachable
from s3d.queries.asking import Asking
from s3d.view.questions import Questions
from s3d.view.rows import BucketRow


async def existing_bucket(questions: Questions, asking: Asking | None, name: str) -> BucketRow:
    """The bucket, which exists. Raises NoSuchBucket, or a 503 when only the remote could tell."""
    row = questions.bucket(name)
    if row is not None and row.present:
        return row
    if questions.may_lack(row):
        raise lost_here(f"Whether the bucket {name} exists")
    if asking is None or (row is not None and row.seen_ms == 0):
        raise no_such_bucket(name)
    fact = await asking.bucket(name)
    if not fact.present:
        raise no_such_bucket(name)
    return BucketRow(name, present=True, incarnation=0, created_ms=0, sole=False, replication=1, seen_ms=fact.seen_ms)


async def list_buckets(questions: Questions, asking: Asking | None) -> tuple[list[BucketRow], int | None]:
    """Every bucket, those of the remote included; offline, those it had when it was last asked, and when that was.

    Raises a 503 when the remote was never asked, or when one may be lost: a short list would be a lie.
    """
    if questions.may_lack(None):
        raise lost_here("Which buckets there are")
    seen_ms: int | None = None
    if asking is not None:
        try:
            await asking.buckets()
        except S3Error:
            seen_ms = questions.buckets_seen_ms()
            if not seen_ms:
                raise remote_unreachable("The list of the remote's buckets") from None
    return questions.buckets(), seen_ms
