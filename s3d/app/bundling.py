"""What leaves on a carried disk, put together: part of the composition root."""

from s3d.app.ground import Ground
from s3d.app.remotes import Replications, several_places
from s3d.app.replication import Replication
from s3d.blobs.rows import RowBodies
from s3d.bundle.keys import parse_public
from s3d.config.settings import Settings
from s3d.operations.bundling import Bundling
from s3d.operations.exporting import Exporting
from s3d.policy.bucket_map import BucketMap
from s3d.view.questions import Questions


def build_bundling(
    settings: Settings,
    ground: Ground,
    questions: Questions,
    rows: RowBodies,
    replication: Replication | Replications | None,
    buckets: BucketMap | None,
) -> Bundling:
    """Bundles are of what goes to a remote, not of what stays."""
    return Bundling(
        ground.journal,
        ground.view.reader,
        Exporting(ground.journal, questions, rows, ground.pool),
        tuple(one for one in settings.buckets if not one.stays_local),
        frozenset(parse_public(one) for one in settings.bundle.trust),
        replication.taken_out if replication is not None else None,
        replication.learned if replication is not None else None,
        several_places(settings, buckets),
    )
