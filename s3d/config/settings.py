"""Every setting, with its type, its bounds, its default and what it means, in one place.

docs/configuration.md is made from this file (config/document.py), the loader checks against it (config/load.py), and
deploy/s3d.example.toml is tested against it. `extra` names the environment variable and the flag of `s3d run` that set
the same value, and the words for a default that depends on who starts the daemon.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from s3d.auth.keys import SecretKey
from s3d.auth.payload import UnsignedPayloads
from s3d.config.addresses import Listen, parse_listen
from s3d.config.client_keys import ClientKey
from s3d.config.drops import DropFolder
from s3d.config.operators import OperatorToken
from s3d.config.remotes import OtherRemote, RemoteSettings
from s3d.config.webhooks import Webhook
from s3d.policy.bucket_map import MappedBucket
from s3d.policy.rules import Rule
from s3d.policy.windows import Window

KIB, MIB, GIB, TIB = 1024, 1024**2, 1024**3, 1024**4
YEAR_SECONDS = 366 * 24 * 3600
NonEmpty = Annotated[str, Meta(min_length=1)]


class AuthSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may ask: with a key pair every request must be signed (SigV4); without, only loopback may be listened on."""

    access_key: Annotated[
        NonEmpty | None, Meta(description="Access key id that clients sign with.", extra={"env": "S3D_ACCESS_KEY"})
    ] = None
    secret_key: Annotated[
        SecretKey | None, Meta(description="Its secret. Never printed or logged.", extra={"env": "S3D_SECRET_KEY"})
    ] = None
    allow_unsigned_payload: Annotated[
        UnsignedPayloads,
        Meta(
            description="Where a body that the signature does not cover (`UNSIGNED-PAYLOAD`) is taken: "
            "`tls-or-loopback`, or `always`, which lets anybody on the path change it."
        ),
    ] = UnsignedPayloads.TLS_OR_LOOPBACK
    account: Annotated[
        str,
        Meta(
            description="The account that all buckets belong to: what `x-amz-expected-bucket-owner` is held against.",
            pattern="^[0-9]{12}$",
        ),
    ] = "000000000000"

    @property
    def configured(self) -> bool:
        """Whether requests are authenticated at all."""
        return self.access_key is not None


class JournalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The durable log."""

    inline_bytes_max: Annotated[
        int,
        Meta(description="Bodies up to this many bytes are kept in the record's row: one sync.", ge=0, le=MIB),
    ] = 64 * KIB
    mark: Annotated[
        Literal["window", "strict"],
        Meta(
            description="When the mark that detects a silently shortened log is synced: `window`, at most 100 ms after "
            "the acknowledgement, or `strict`, before it (slower)."
        ),
    ] = "window"
    ballast_bytes: Annotated[
        int,
        Meta(description="Space held in reserve for deletes and draining on a full disk; 0: none.", ge=0, le=TIB),
    ] = 32 * MIB
    file_bytes_max: Annotated[
        int, Meta(description="The journal goes on in a new file when this one is so large.", ge=64 * KIB, le=TIB)
    ] = 64 * MIB
    keep_unsealed_bytes: Annotated[
        int,
        Meta(
            description="So much of the newest files keeps the bodies that the remote has too, for reads without the "
            "link. Older files are sealed: they lose them.",
            ge=0,
        ),
    ] = GIB
    retain_files: Annotated[
        int, Meta(description="How many sealed files are retained, for audits; 0: no limit by number.", ge=0)
    ] = 0
    retain_bytes: Annotated[
        int, Meta(description="How many bytes of sealed files are retained; 0: no limit by size.", ge=0)
    ] = 10 * GIB
    retain_days: Annotated[
        int,
        Meta(
            description="How long sealed files are retained; 0: no limit by age. Whichever limit is reached first "
            "counts. By age at most one file goes in an hour, and none while the clock cannot be believed.",
            ge=0,
            le=36500,
        ),
    ] = 400


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bytes that the remote has as well, kept here to answer reads."""

    capacity_bytes: Annotated[
        int, Meta(description="Disk space for cached bodies; the least recently used go first.", ge=0)
    ] = 10 * GIB
    pinned_share_max: Annotated[
        float,
        Meta(
            description="How much of the capacity (or of the volume, where that is smaller) pins may hold. What is "
            "pinned beyond that is let go of after everything else. 0: `s3d cache pin` is refused.",
            ge=0,
            le=0.9,
        ),
    ] = 0.5
    read_ahead_bytes: Annotated[
        int,
        Meta(
            description="Who reads an object of the remote in ranges, one behind the other, has so much fetched ahead, "
            "within the capacity. 0: nothing.",
            ge=0,
            le=64 * MIB,
        ),
    ] = 8 * MIB
    listed_keys_max: Annotated[
        int,
        Meta(
            description="So many keys of the remote's listings are remembered, about 150 bytes of disk each, to list "
            "without the link; the longest unseen go first. 0: none.",
            ge=0,
        ),
    ] = 1_000_000
    body_memory_bytes: Annotated[
        int, Meta(description="Memory for small bodies that were read lately.", ge=0, le=64 * GIB)
    ] = 16 * MIB


class GapSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Looking whether the remote still has what it has confirmed."""

    every_hours: Annotated[
        float,
        Meta(description="How long to rest between two looks at everything; 0: never look.", ge=0, le=8784),
    ] = 24.0
    requests_per_minute: Annotated[
        float,
        Meta(
            description="What a look may cost: a request is a page of 1,000 keys, or one key in doubt.", gt=0, le=6000
        ),
    ] = 30.0


class CapacitySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much disk there is, and how much of it may hold what the remote does not have yet."""

    volume_bytes: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="How much disk the data directory may take. Unset, and at most: what the file system holds, "
            "less a reserve of 256 MiB (of a small one: a twentieth)."
        ),
    ] = None
    pending_bytes_max: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="How many body bytes may wait for the remote; objects that would make it more are 503 "
            "SlowDown, and everything else goes on. Unset: `pending_share_max` alone decides."
        ),
    ] = None
    pending_records_max: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="How many records may wait for the remote before objects are refused. Unset: any number."),
    ] = None
    pending_share_max: Annotated[
        float,
        Meta(
            description="The same as `pending_bytes_max`, as a share of the volume. The smaller of the two holds.",
            gt=0,
            le=1,
        ),
    ] = 0.9
    local_share_max: Annotated[
        float,
        Meta(
            description="What share of the volume buckets that stay local may hold (`bucket.stays_local`); what "
            "would make it more is 507 LocalStorageFull. They and what is pending together may hold the larger of the "
            "two shares.",
            gt=0,
            le=1,
        ),
    ] = 0.5
    ready_pending_bytes_max: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="While more body bytes than this wait for the remote, `/readyz` and `s3d status --ready` say "
            "no, so that a rollout waits and traffic goes elsewhere; requests are answered all the same. Unset: never."
        ),
    ] = None


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The S3 listener."""

    body_threads: Annotated[int, Meta(description="Threads that hash and write large bodies.", ge=1, le=256)] = 4
    object_bytes_max: Annotated[
        int, Meta(description="Largest body of a single PutObject or part; S3 takes 5 GiB.", ge=1, le=5 * TIB)
    ] = 5 * GIB
    keepalive_seconds: Annotated[
        float, Meta(description="How long an idle connection is kept open.", ge=0, le=86400)
    ] = 75.0
    connections_max: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None,
        Meta(
            description="Connections at once; one more is told 503 SlowDown and closed. Unset: 12,000, or what the "
            "hard limit of file descriptors allows. A number that it does not allow stops the start."
        ),
    ] = None
    head_seconds: Annotated[
        float, Meta(description="How long the head of a request may take from its first byte on.", gt=0, le=3600)
    ] = 20.0
    idle_seconds: Annotated[
        float,
        Meta(
            description="How long a client may be silent in the middle of a body that it sends, or take nothing of an "
            "answer.",
            gt=0,
            le=3600,
        ),
    ] = 60.0
    memory_bytes_max: Annotated[
        int,
        Meta(
            description="Memory for bodies on their way in and for answers that clients have not taken. When it is "
            "used up, bodies wait in the network, then there is 503 SlowDown.",
            ge=MIB,
        ),
    ] = 32 * MIB
    large_bodies_max: Annotated[
        int,
        Meta(
            description="Bodies with a file of their own that are sent or received at once; one more is 503 SlowDown.",
            ge=1,
            le=1_000_000,
        ),
    ] = 2000
    writes_waiting_max: Annotated[
        int,
        Meta(
            description="Changes that may wait for the journal's writer; more are 503 SlowDown. (Of DeleteObjects with "
            "many keys one is written at a time, and a hundred may wait.)",
            ge=1,
        ),
    ] = 2000
    base_domains: Annotated[
        tuple[str, ...],
        Meta(
            description="Names of this endpoint under which buckets are host names: with `s3.site.local` a request to "
            "`photos.s3.site.local` is about the bucket `photos`. At any other name the bucket is the first part of "
            "the path."
        ),
    ] = ()


class ShutdownSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What SIGTERM does."""

    drain_seconds: Annotated[
        float,
        Meta(
            description="How long a stop may go on sending pending records to the remote. What remains is safe and "
            "goes on after the next start; the exit code is then 3.",
            ge=0,
            le=YEAR_SECONDS,
        ),
    ] = 30.0
    ephemeral: Annotated[
        bool,
        Meta(
            description="`true`: the data directory goes with the machine (a Kubernetes emptyDir). A stop then uses "
            "all of `drain_seconds`, also waiting for a link that is down, and names what is left, record by record."
        ),
    ] = False


class AdminSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The listener that `s3d status` and its siblings ask, with /healthz, /readyz and /metrics."""

    listen: Annotated[
        str,
        Meta(description="URL of the admin listener; loopback only.", extra={"env": "S3D_ADMIN", "flag": "--admin"}),
    ] = "http://127.0.0.1:33334"

    @property
    def address(self) -> Listen:
        """`listen`, taken apart."""
        return parse_listen(self.listen)


class BundleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Carried disks: see `s3d bundle`."""

    trust: Annotated[
        tuple[str, ...],
        Meta(
            description="Public keys, as `s3d bundle keygen` shows them, of those whose receipts are taken: a record "
            "that they say has arrived is not sent any more, and its bytes are let go of."
        ),
    ] = ()


class AuditSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an auditor can verify without trusting this machine: see `s3d audit verify`."""

    checkpoint_minutes: Annotated[
        float,
        Meta(
            description="How often the site signs how far its journal goes, when anything has happened; also when a "
            "file of the journal is closed, at a stop and for an export. 0: never. Needs the extra `bundle`.",
            ge=0,
            le=44640,
        ),
    ] = 15.0
    key_file: Annotated[
        NonEmpty | None,
        Meta(
            description="The key that it signs with; made there at the first start, for its owner alone. Unset: "
            "`audit-signing.key` in the data directory, where whoever can change the journal can use it, too."
        ),
    ] = None
    anchor_bucket: Annotated[
        NonEmpty | None,
        Meta(
            description="A bucket of `[remote]`, by its name there, in which every checkpoint is laid as an object "
            "that is never replaced: what an auditor holds the journal against. Unset: none is."
        ),
    ] = None
    anchor_prefix: Annotated[
        str, Meta(description="What the keys of anchors begin with; the site's name and the checkpoint's follow.")
    ] = "s3d-audit/"
    anchor_retain_days: Annotated[
        int,
        Meta(
            description="For so long Object Lock keeps an anchor from being deleted, where the bucket has it; 0: as "
            "the bucket's default retention says.",
            ge=0,
            le=36500,
        ),
    ] = 0
    anchor_lock: Annotated[
        Literal["governance", "compliance"],
        Meta(description="The mode of that lock. Nobody at all can undo `compliance` before its time."),
    ] = "governance"
    refused_bytes_max: Annotated[
        int,
        Meta(
            description="How large `refused.jsonl` in the data directory gets, which has a line for requests that were "
            "not let in, ten a second at most; another one as large is kept beside it. 0: they are only counted.",
            ge=0,
            le=GIB,
        ),
    ] = MIB


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said on standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least severe line that is written.")
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "console"],
        Meta(description="`console` for people, `json` for collectors, `auto`: console on a terminal, else json."),
    ] = "auto"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them. `config.load` is what checks how they go together."""

    data_dir: Annotated[
        str,
        Meta(
            description="Directory of journal, view and bodies; one daemon per directory.",
            min_length=1,
            extra={
                "env": "S3D_LOCAL_DIR",
                "flag": "--data-dir",
                "default": "`/var/lib/s3d` for root, else `$XDG_DATA_HOME/s3d` or `~/.local/share/s3d`",
            },
        ),
    ]
    listen: Annotated[
        str,
        Meta(
            description="URL that S3 clients use; loopback only, unless `[auth]` is set. Port 0: any free one.",
            extra={"env": "S3D_ENDPOINT", "flag": "--listen"},
        ),
    ] = "http://localhost:33333"
    region: Annotated[str, Meta(description="The region that this endpoint says it is in.", min_length=1)] = "us-east-1"
    watch_configuration: Annotated[
        bool,
        Meta(
            description="Look every two seconds whether the configuration file is another one, and read it again by "
            "itself when it is: for files that are swapped by something else, such as a Kubernetes ConfigMap."
        ),
    ] = False
    auth: AuthSettings = AuthSettings()
    remote: RemoteSettings = RemoteSettings()
    journal: JournalSettings = JournalSettings()
    cache: CacheSettings = CacheSettings()
    capacity: CapacitySettings = CapacitySettings()
    gaps: GapSettings = GapSettings()
    http: HttpSettings = HttpSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    admin: AdminSettings = AdminSettings()
    bundle: BundleSettings = BundleSettings()
    audit: AuditSettings = AuditSettings()
    log: LogSettings = LogSettings()
    client_keys: tuple[ClientKey, ...] = ()
    operators: tuple[OperatorToken, ...] = ()
    rules: tuple[Rule, ...] = ()
    windows: tuple[Window, ...] = ()
    other_remotes: tuple[OtherRemote, ...] = ()
    buckets: tuple[MappedBucket, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    drops: tuple[DropFolder, ...] = ()

    @property
    def address(self) -> Listen:
        """`listen`, taken apart."""
        return parse_listen(self.listen)
