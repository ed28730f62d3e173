"""The place in an order group that a client asks for, from the headers of its request. Pure."""

from s3d.errors import S3Error
from s3d.values import Order

GROUP_HEADER = "x-s3d-order-group"
BARRIER_HEADER = "x-s3d-order-barrier"
GROUP_CHARACTERS_MAX = 256
_BARRIERS = {None: None, "true": True, "false": False}


def read_order(group: str | None, barrier: str | None) -> Order | None:
    """The values of both headers, None where one is absent. Raises InvalidArgument."""
    if group is None:
        if barrier is not None:
            raise _invalid(BARRIER_HEADER, barrier, f"{BARRIER_HEADER} needs {GROUP_HEADER}.")
        return None
    if not 1 <= len(group) <= GROUP_CHARACTERS_MAX or not group.isprintable():
        raise _invalid(GROUP_HEADER, group, f"A group's name has 1 to {GROUP_CHARACTERS_MAX} printable characters.")
    if barrier not in _BARRIERS:
        raise _invalid(BARRIER_HEADER, barrier or "", f"{BARRIER_HEADER} is true or false.")
    return Order(group, _BARRIERS[barrier])


def _invalid(header: str, value: str, message: str) -> S3Error:
    shown = value[: GROUP_CHARACTERS_MAX + 1].encode("ascii", "backslashreplace").decode()
    return S3Error("InvalidArgument", message, details={"ArgumentName": header, "ArgumentValue": shown})
