"""The short form of `scripts/soak`: seconds, and the same assertions."""

from .soak import KIB, Shape, Soak


def test_disk_use_does_not_grow_with_what_passes_through(tmp_path):
    """Six times the limit, with a restart, a kill, a parked key, and a view that is lost at the end."""
    shape = Shape(file_bytes_max=256 * KIB, keep_unsealed_bytes=256 * KIB, retain_files=2, body_bytes=32 * KIB)
    soak = Soak(tmp_path, shape)
    soak.run(6, 2)
    files = [sample.files for sample in soak.samples]
    assert max(files) <= 6
    first, last = soak.samples[0], soak.samples[-1]
    assert last.written == 2 * first.written
    assert last.on_disk < first.on_disk + first.written / 2
