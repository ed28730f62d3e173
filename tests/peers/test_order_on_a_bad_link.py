"""Order groups between two real daemons, while the link between them comes and goes."""

import json
import random
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from peers.edge import S3D, Edge, Remote
from peers.fault_proxy import FaultProxy

pytestmark = pytest.mark.timeout(120)
BATCHES, PARTS = 2, 12


class Far(Edge):
    """A daemon that is the other's remote, and can say in which order things came."""

    def arrivals(self) -> list[str]:
        """The keys of all PutObject records, in the order of its journal."""
        head = int(self.status()["head"].partition("-")[2])
        found = []
        for sequence in range(1, head + 1):
            with urllib.request.urlopen(f"{self.admin}/records/{sequence}", timeout=10) as answer:
                record = json.loads(answer.read())
            if record["operation"] == "PutObject":
                found.append(record["stream"].partition("/")[2])
        return found


def ordered(client: Any, group: str, barrier: str) -> Any:
    """The client's next requests carry their place in a group; signed like every header that boto3 adds."""

    def add(request: Any, **_: Any) -> None:
        request.headers["x-s3d-order-group"] = group
        request.headers["x-s3d-order-barrier"] = barrier

    client.meta.events.unregister("before-sign.s3", unique_id="order")
    client.meta.events.register("before-sign.s3", add, unique_id="order")
    return client


def test_manifests_arrive_after_their_parts_over_a_link_that_flaps(tmp_path: Path) -> None:
    """First without a link, then with answers that are lost; the remote is told nothing of groups."""
    for name in ("far", "near"):
        (tmp_path / name).mkdir()
    far = Far(str(tmp_path / "far"), None, None).start()  # type: ignore[assignment]
    proxy = FaultProxy("127.0.0.1", int(far.endpoint.rpartition(":")[2]))
    near = Edge(str(tmp_path / "near"), proxy.url, Remote("far", "127.0.0.1", 0, "any", "any"))
    chance = random.Random(7)
    try:
        near.start()
        near.client.create_bucket(Bucket="batches")
        near.drain()
        for batch in range(BATCHES):
            if batch % 2:
                near.drain()
                proxy.lose_answers("PUT", times=3)
            else:
                proxy.refuse()
            ordered(near.client, "batches", "false")
            for number in range(PARTS):
                near.client.put_object(Bucket="batches", Key=f"{batch}/part{number}", Body=chance.randbytes(3000))
            ordered(near.client, "batches", "true")
            near.client.put_object(Bucket="batches", Key=f"{batch}/manifest", Body=b"all of them")
            if batch == 0:
                shown = subprocess.check_output([*S3D, "pending", "--admin", near.admin], text=True)
                assert "(group batches, side by side)" in shown
                assert "(group batches, a barrier)" in shown
            near.drain() if batch % 2 else proxy.restore()
        arrivals = far.arrivals()  # type: ignore[attr-defined]
        head = far.client.head_object(Bucket="batches", Key="0/manifest")
    finally:
        near.close()
        proxy.close()
        far.close()
    assert proxy.lost_answers == 3 * (BATCHES // 2)
    assert len(arrivals) == BATCHES * (PARTS + 1), "nothing arrived twice"
    assert [key[0] for key in arrivals] == sorted(key[0] for key in arrivals)
    assert [number for number, key in enumerate(arrivals) if "manifest" in key] == [
        (PARTS + 1) * batch + PARTS for batch in range(BATCHES)
    ]
    assert not [name for name in head["ResponseMetadata"]["HTTPHeaders"] if "order" in name]
