"""Exit codes of `s3d`. A unit file must count PENDING as success (deploy/systemd/s3d.service does)."""

OK = 0
FAILED = 1
MISTAKEN = 2  # mistyped or misconfigured: trying again cannot help
PENDING = 3  # `s3d run` stopped, and records remain that the remote does not have
PARKED = 4  # `s3d wait`: a person has to act first
TIMED_OUT = 5
NO_REMOTE = 6
PAUSED = 7  # `s3d wait`: an operator has paused replication
INTERRUPTED = 130
