"""What was, put together: part of the composition root."""

from aiohttp import web

from s3d.app.ground import Ground
from s3d.blobs.checks import BlobChecks
from s3d.blobs.rows import RowBodies
from s3d.clock import Clock
from s3d.http.journal_routes import journal_routes
from s3d.http.loss_routes import loss_routes
from s3d.http.past_routes import past_routes
from s3d.http.restore_routes import restore_routes
from s3d.operations.exporting import Exporting
from s3d.operations.intake import Intake
from s3d.operations.losses import LostRecords
from s3d.operations.past_bodies import PastBodies
from s3d.operations.restoring import Restoring
from s3d.operations.submitting import Submitter
from s3d.view.questions import Questions


def history_routes(
    ground: Ground,
    questions: Questions,
    rows: RowBodies,
    checks: BlobChecks,
    intake: Intake,
    submitter: Submitter,
    clock: Clock,
) -> list[web.RouteDef]:
    """The journal for whoever asks what was, and writing it back."""
    journal, pool = ground.journal, ground.pool
    bodies = PastBodies(Exporting(journal, questions, rows, pool), questions, rows, pool, checks)
    restoring = Restoring(bodies, intake, submitter, pool, rows, clock)
    routes = [*journal_routes(journal, ground.hold), *past_routes(journal, bodies)]
    routes += loss_routes(LostRecords(questions, submitter, journal.identity.epoch))
    return [*routes, *restore_routes(restoring, journal.identity.epoch)]
