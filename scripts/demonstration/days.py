"""Act two: two days at a site without a link, on a disk that is too small for them, and how it all arrives."""

import json
import random
from typing import Any

from botocore.exceptions import ClientError
from cable import Cable
from clients import boto3_client
from commands import Commands
from daemons import Daemon
from expected import Comparison, Content, Expected, read
from story import MIB, Wrong

SITE, PLANS = "site", "plans"
HOURS, NIGHT = 48, 30  # so many hours without a link; in which one headquarters changes a plan
VOLUME_BYTES = 24 * MIB
VIDEO_BYTES, READING_BYTES, ALARM_BYTES = 500_000, 100_000, 4_000
LONG_VIDEO_BYTES, REMOTE_TAKES_BYTES = 3 * MIB, 2 * MIB
LANES = 4
AFTERWARDS = 6  # hours between the disk's return and the link's
PLAN = "shift.txt"
DISK = "disk.bundle"
SOME_REFUSED, SOME_GAPS, PENDING = 4, 1, 3  # exit codes of `s3d bundle apply`, `s3d gaps` and `s3d run`
EDGE = f"""
site = "north"
lanes_max = {LANES}
bytes_per_second_max = 4_000_000

[capacity]
volume_bytes = {VOLUME_BYTES:_}

[journal]
ballast_bytes = 1_000_000

[gaps]
every_hours = 0
requests_per_minute = 6000

[bundle]
trust = ["%s"]

[[rule]]
match = "{SITE}/alarms/*"
priority = "urgent"
refuse_above = 1.0
gaps = "mend"

[[rule]]
match = "{SITE}/readings/*"
order = "newest"
refuse_above = 0.9

[[rule]]
match = "{SITE}/video/*"
priority = "bulk"
refuse_above = 0.7

[[rule]]
match = "{PLANS}"
shared = true

[[rule]]
match = "{PLANS}/*"
conflict = "keep-both"
"""
LIMIT = "[http]\nobject_bytes_max = %d\n"


class Days:
    """A site, headquarters' S3, the link between them, and a disk that can be carried."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.headquarters = Daemon("headquarters", directory)
        self.headquarters.configure(None, LIMIT % REMOTE_TAKES_BYTES)
        self.cable = Cable(self.headquarters.port)
        self.site = Daemon("edge", directory)
        self.expected = Expected(SITE)
        self.client: Any = boto3_client(self.site)
        self._there: Any = boto3_client(self.headquarters)
        self._s3d = Commands(directory, self.site)
        self._chance = random.Random(20261124)
        self._hour = 0
        self._refused: dict[str, int] = {}

    def start(self) -> str:
        """Keys for the disk first: the site's configuration names the one whose receipts it takes."""
        self._site_key = self._s3d("bundle", "keygen", "site.key").strip()
        self._key = self._s3d("bundle", "keygen", "headquarters.key").strip()
        self.site.configure(self.cable.endpoint, EDGE % self._key)
        for daemon in (self.headquarters, self.site):
            daemon.launch()
        self.cable.plug()
        for daemon in (self.headquarters, self.site):
            daemon.wait()
        for bucket in (SITE, PLANS):
            self.client.create_bucket(Bucket=bucket)
        self.client.put_object(Bucket=PLANS, Key=PLAN, Body=b"the plan of last week")
        self._s3d("wait", "--all", "--timeout", "60")
        return self._s3d.taken()

    def two_days(self) -> str:
        """Each hour a video, two readings and an alarm; in the night both sides write the same plan."""
        self.cable.cut()
        self._put("video/long", LONG_VIDEO_BYTES)
        for _ in range(HOURS):
            self._live_an_hour()
            if self._hour == NIGHT:
                self.client.put_object(Bucket=PLANS, Key=PLAN, Body=b"the site's plan")
                self._there.put_object(Bucket=PLANS, Key=PLAN, Body=b"headquarters' plan")
        hours = [self._refused.get(kind, HOURS + 1) for kind in ("video", "readings", "alarms")]
        if hours != sorted(hours) or hours[1] > HOURS or hours[2] <= HOURS:
            raise Wrong(f"refused since the hours {hours}: of video, readings and alarms, in vain in this order")
        return (
            f"{len(self.expected.objects)} objects, {self._size_mib():.0f} MiB acknowledged, on a disk of "
            f"{VOLUME_BYTES // MIB} MiB. (An hour takes as long as its writes.)\n"
            f"Video is refused with 503 SlowDown since hour {hours[0]}, readings since hour {hours[1]}; "
            f"all {HOURS} alarms are in."
        )

    def look_at_the_full_disk(self) -> str:
        """What a person sees; reads and deletes go on."""
        said = self._s3d("status", lines_max=12)
        if "refused with SlowDown" not in said:
            raise Wrong("`s3d status` does not say that writes are refused")
        for key in ("readings/00-0", "video/00"):
            if read(self.client, SITE, key) != self.expected.objects[key]:
                raise Wrong(f"{key} cannot be read on a full disk")
        self.client.delete_object(Bucket=SITE, Key="video/00")
        del self.expected.objects["video/00"]
        return f"{self._s3d.taken()}\nReads go on, and a deletion was acknowledged."

    def carry_a_disk(self) -> str:
        """What is pending leaves in a file, headquarters sends it, and its receipts make room at the site."""
        self._s3d("bundle", "export", DISK, "--to", self._key, "--sign-with", "site.key")
        ours = "--key", "headquarters.key", "--from", self._site_key
        self._s3d("bundle", "apply", DISK, *ours, "--remote", self.headquarters.endpoint, code=SOME_REFUSED)
        self._s3d("bundle", "receipts", f"{DISK}.receipts")
        self._put("video/there is room again", VIDEO_BYTES)
        return f"{self._s3d.taken()}\nWrites are taken again, and the link is still cut."

    def look_at_what_waits(self) -> str:
        """Two records came back refused: one is too large for headquarters, one meets somebody else's plan."""
        said = self._s3d("parked", "list")
        if said.count("parked:") != 2 or not all(word in said for word in ("EntityTooLarge", PLAN, "video/long")):
            raise Wrong(f"two records should be parked:\n{said}")
        return self._s3d.taken()

    def bring_the_link_back(self) -> str:
        """Some hours of backlog, a night without power, then the link, and a headquarters that takes larger objects."""
        for _ in range(AFTERWARDS):
            self._live_an_hour()
        before = len(self._arrived())
        code = self.site.stop()
        if code != PENDING:
            raise Wrong(f"the site ended with exit code {code} although records are pending:\n{self.site.last_words()}")
        self.headquarters.stop()
        self.headquarters.configure(None)
        self.headquarters.start()
        self.cable.plug()
        self.site.start()
        self._s3d("parked", "retry", "--all")
        self._s3d("wait", "--all", "--timeout", "60")
        arrived = [key for key in self._arrived()[before:] if key.startswith(("alarms/", "video/"))]
        alarms = [number for number, key in enumerate(arrived) if key.startswith("alarms/")]
        if len(alarms) != AFTERWARDS or alarms[-1] >= AFTERWARDS + LANES:
            raise Wrong(f"alarms do not go before video: {arrived}")
        order = ", ".join(arrived[: AFTERWARDS + LANES])
        return (
            f"The site ended with exit code {code}, and began again.\n{self._s3d.taken()}\n"
            f"Then there arrived {order}, …"
        )

    def look_at_the_conflict(self) -> str:
        """Both plans are there, under names that say whose is whose."""
        self._s3d("conflicts")
        found = {one["Key"] for one in self._there.list_objects_v2(Bucket=PLANS)["Contents"]}
        ours = next((key for key in found if key.startswith("shift (conflict north")), "")
        bodies = [read(self._there, PLANS, key) for key in (PLAN, ours)]
        if bodies != [Content(b"headquarters' plan"), Content(b"the site's plan")]:
            raise Wrong(f"not both plans are at headquarters: {sorted(found)}")
        return f"{self._s3d.taken()}\nHeadquarters has {' and '.join(sorted(found))}."

    def heal_gaps(self) -> str:
        """Somebody deletes there what was confirmed: an alarm is sent again by rule, a video by a person."""
        alarm, video = f"alarms/{self._hour - 1:02}", f"video/{self._hour - 1:02}"
        for key in (alarm, video):
            self._there.delete_object(Bucket=SITE, Key=key)
        said = self._s3d("gaps", "--now", code=SOME_GAPS)
        if video not in said or alarm in said:
            raise Wrong(f"{video} should be named, and {alarm} should have been sent again:\n{said}")
        self._s3d("get", f"{SITE}/{video}", "again")
        self._s3d("put", "again", f"{SITE}/{video}")
        self._s3d("wait", "--all", "--timeout", "60")
        self._s3d("gaps", "--now")
        for key in (alarm, video):
            if read(self._there, SITE, key) != self.expected.objects[key]:
                raise Wrong(f"{key} is not at headquarters again")
        return f"Deleted there: {alarm}, which a rule has sent again, and {video}.\n{self._s3d.taken()}"

    def compare_site(self) -> Comparison:
        """Everything, as the site's clients see it."""
        return self.expected.compare(self.client)

    def compare_headquarters(self) -> Comparison:
        """Everything, asked of headquarters directly."""
        return self.expected.compare(self._there)

    def switch_off(self) -> str:
        """Whether the site's disk is still needed, and the end."""
        self._s3d("status", "--safe-to-power-off")
        code = self.site.stop()
        if code != 0:
            raise Wrong(f"the site ended with exit code {code} although nothing is pending:\n{self.site.last_words()}")
        return self._s3d.taken()

    def close(self) -> None:
        """End both, whatever state they are in."""
        self.cable.cut()
        self.site.kill()
        self.headquarters.kill()

    def _live_an_hour(self) -> None:
        for kind, size in (("video", VIDEO_BYTES), ("readings", READING_BYTES), ("alarms", ALARM_BYTES)):
            for name in (f"{self._hour:02}-0", f"{self._hour:02}-1") if kind == "readings" else (f"{self._hour:02}",):
                try:
                    self._put(f"{kind}/{name}", size)
                except ClientError as error:
                    if error.response["Error"]["Code"] != "SlowDown":
                        raise
                    self._refused.setdefault(kind, self._hour)
        self._hour += 1

    def _put(self, key: str, size_bytes: int) -> None:
        body = self._chance.randbytes(size_bytes)
        self.client.put_object(Bucket=SITE, Key=key, Body=body)
        self.expected.objects[key] = Content(body)

    def _arrived(self) -> list[str]:
        """Keys of the site's bucket in the order in which headquarters took them, from its own journal."""
        lines = Commands(self._directory, self.headquarters)("journal", "export", "headquarters").splitlines()[1:]
        streams = [str(json.loads(line)["stream"]) for line in lines]
        return [stream.removeprefix(f"{SITE}/") for stream in streams if stream.startswith(f"{SITE}/")]

    def _size_mib(self) -> float:
        return sum(len(content.body) for content in self.expected.objects.values()) / MIB
