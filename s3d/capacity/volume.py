"""How large the volume is that everything shares."""

RESERVE_BYTES_MAX = 256 * 1024 * 1024
RESERVE_PART = 20


def reserve_bytes(size_bytes: int) -> int:
    """What of a file system of this size is left free: 256 MiB, or a twentieth of a small one."""
    return min(RESERVE_BYTES_MAX, size_bytes // RESERVE_PART)
