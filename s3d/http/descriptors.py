"""As many file descriptors as the limits of the configuration add up to, or no start.

A daemon that runs out of them cannot accept, open a body or a file of the journal: in the middle of the day, and
somewhere else each time. What it will need at most is known when it starts.
"""

import resource
import sys

import structlog

from s3d.errors import ConfigurationError

CONNECTIONS_MAX = 12_000  # where the configuration leaves it to us
CONNECTIONS_MIN = 64
OWN_FILES = 512  # journal, view, the remote's connections, the admin listener, connections that are being refused
_ADVICE = (
    "raise the hard limit (LimitNOFILE= in a unit file, `ulimit -Hn` in a shell, --ulimit nofile= for a container), or "
    "lower http.connections_max and http.large_bodies_max"
)
_log = structlog.get_logger("s3d.http")


def reserve(connections_max: int | None, large_bodies_max: int) -> int:
    """Raise the soft limit as far as needed; how many connections there may be.

    A number that was asked for is kept or refused (ConfigurationError); None takes what the hard limit allows.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else sys.maxsize
    allowed = most - large_bodies_max - OWN_FILES
    connections = min(allowed, CONNECTIONS_MAX) if connections_max is None else connections_max
    needed = connections + large_bodies_max + OWN_FILES
    if connections > allowed or connections < (CONNECTIONS_MIN if connections_max is None else 1):
        wanted = max(connections, CONNECTIONS_MIN) + large_bodies_max + OWN_FILES
        raise ConfigurationError(
            f"{wanted} file descriptors are needed, and this process may have {most}", hint=_ADVICE
        )
    if connections_max is None and connections < CONNECTIONS_MAX:
        _log.warning("fewer connections than usual: the hard limit of descriptors is low", connections=connections)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return connections
