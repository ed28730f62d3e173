"""What the auditor's page tells to do by hand is right: it finds what the program finds."""

import re
import subprocess
import sys
from pathlib import Path

from signed_site import SignedSite

PAGE = Path(__file__).parents[2] / "docs/audit.md"


def follow(export: Path) -> "subprocess.CompletedProcess[str]":
    """The page's own program, in a Python that has nothing of ours."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    command = [sys.executable, "-I", "-S", "-c", program, str(export)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def test_an_export_can_be_followed_without_this_program(tmp_path: Path) -> None:
    """An honest one says how many records there are; one with a changed key says which is not what was written."""
    site, export = SignedSite(tmp_path), tmp_path / "export.jsonl"
    site.write("a", "b", "é")
    lines = await site.export()
    export.write_bytes(b"".join(lines))
    found = follow(export)
    assert found.stdout.startswith("4 records, signed at 20"), found.stderr
    export.write_bytes(b"".join(lines).replace(b'"b/b"', b'"b/c"'))
    assert "record 3 is not what was written" in follow(export).stderr
