"""Commits outlive a process that is killed, also when it opened the lake more than once."""

import subprocess
import sys
from pathlib import Path

from scoter.catalog.lake import Lake
from scoter.catalog.metastore import Metastore
from scoter.settings import load

WRITER = """
import sys
from scoter.catalog.lake import Lake
from scoter.catalog.metastore import Metastore
from scoter.settings import load

settings = load(sys.argv[1])
first = Metastore.open(settings.metastore_url)
lake = Lake(settings, first)
lake.create_schema("lake", "before")
second = Metastore.open(settings.metastore_url)
print("open", flush=True)
sys.stdin.readline()
lake.create_schema("lake", "after")
print("committed", flush=True)
sys.stdin.readline()
"""


def test_two_openings_in_one_process_keep_its_commits(tmp_path: Path) -> None:
    settings = load(tmp_path)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    try:
        assert writer.stdout.readline() == "open\n"
        visitor = Metastore.open(settings.metastore_url)
        assert "before" in Lake(settings, visitor).schemas("lake")
        visitor.close()
        writer.stdin.write("go\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "committed\n"
    finally:
        writer.kill()
        writer.wait()
        writer.stdin.close()
        writer.stdout.close()
    found = Metastore.open(settings.metastore_url)
    schemas = Lake(settings, found).schemas("lake")
    found.close()
    assert {"before", "after"} <= set(schemas)
