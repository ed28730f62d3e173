"""What was, put together: part of the composition root."""

from s3d.app.ground import Ground
from s3d.blobs.checks import BlobChecks
from s3d.blobs.rows import RowBodies
from s3d.operations.exporting import Exporting
from s3d.operations.past_bodies import PastBodies
from s3d.view.questions import Questions


def build_past(ground: Ground, questions: Questions, rows: RowBodies, checks: BlobChecks) -> PastBodies:
    """Who finds the bytes of what was replaced."""
    exporting = Exporting(ground.journal, questions, rows, ground.pool)
    return PastBodies(exporting, questions, rows, ground.pool, checks)
