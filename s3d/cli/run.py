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

    Flags beat the environment, the environment beats the file. On SIGTERM it accepts nothing new, finishes what is in
    flight, and goes on sending to the remote for shutdown.drain_seconds.
    """
    from s3d.config import load
    from s3d.telemetry import logs

    flags = {"data_dir": data_dir, "listen": listen, "remote.endpoint": remote, "admin.listen": admin}
    settings = load(flags, os.environ, config)
    logs.configure(settings.log.level, settings.log.format)
    if config is not None:
        _warn_of_exposed_secrets(config)

    from s3d.app.daemon import serve
    from s3d.telemetry.lag import measured_loop
    from s3d.telemetry.metrics import Metrics

    metrics = Metrics()
    with asyncio.Runner(loop_factory=lambda: measured_loop(metrics.loop_lag)) as runner:
        return runner.run(serve(settings, metrics))


def _warn_of_exposed_secrets(config: str) -> None:
    import structlog

    from s3d.config.load import exposes_secrets

    if exposes_secrets(config):
        structlog.get_logger().warning(
            "every user of this machine can read the keys in the configuration file", file=config, fix="chmod o-r"
        )
