"""Bodies that are sent, and what an error says, in few words."""

from botocore.exceptions import ClientError


def pattern(size: int) -> bytes:
    """Bytes in which a piece that is lost, doubled or moved shows."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def code_of(error: ClientError) -> tuple[int, str]:
    """The HTTP status and the S3 error code."""
    return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
