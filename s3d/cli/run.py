"""`s3d run`: settings, logs, then the daemon."""

import asyncio
import os

import click


@click.command(
    short_help="Run the daemon.",
    epilog="Exit codes: 0 everything is at the remote (or there is none), 3 records remain pending, safe on this disk, "
    "1 failed, 2 misconfigured.",
)
@click.option(
    "--config", envvar="S3D_CONFIG", metavar="FILE", help="TOML file with settings.  [environment: S3D_CONFIG]"
)
@click.option("--data-dir", metavar="DIR", help="Journal, view and bodies.  [environment: S3D_LOCAL_DIR]")
@click.option(
    "--listen",
    metavar="URL",
    help="What S3 clients use, by default http://localhost:33333.  [environment: S3D_ENDPOINT]",
)
@click.option(
    "--remote",
    metavar="URL",
    help='The remote S3 service, or "aws". Without one, everything stays pending.  [environment: S3_ENDPOINT]',
)
@click.option(
    "--admin", metavar="URL", help="The admin listener, by default http://127.0.0.1:33334.  [environment: S3D_ADMIN]"
)
def run(config: str | None, data_dir: str | None, listen: str | None, remote: str | None, admin: str | None) -> int:
    """Run the daemon until SIGTERM or SIGINT.

    Flags beat the environment, the environment beats the file. SIGHUP (or `s3d reload`) has the file read again. On
    SIGTERM it accepts nothing new, finishes what is in
    flight, and goes on sending to the remote for shutdown.drain_seconds.
    """
    from s3d.config.source import Source
    from s3d.telemetry import logs

    flags = {"data_dir": data_dir, "listen": listen, "remote.endpoint": remote, "admin.listen": admin}
    loaded = Source(flags, dict(os.environ), config).read()
    settings = loaded.settings
    logs.configure(settings.log.level, settings.log.format)

    from s3d.app.daemon import serve
    from s3d.app.reloading import warn_of_exposed_secrets
    from s3d.telemetry.lag import measured_loop
    from s3d.telemetry.metrics import Metrics

    if config is not None:
        warn_of_exposed_secrets(config)
    metrics = Metrics()
    with asyncio.Runner(loop_factory=lambda: measured_loop(metrics.loop_lag)) as runner:
        return runner.run(serve(settings, metrics, loaded))
