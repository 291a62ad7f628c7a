"""Scoring on Ray: the rows of the local engine, whoever is killed in the middle."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.score_helpers import PROGRAM, assert_same, finish, many_links, read, start

CLUSTER = """
import os, signal, sys
from pathlib import Path
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
print(cluster.address, flush=True)
for line in sys.stdin:
    raylet = nodes.pop().all_processes["raylet"][0].process.pid
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    mine = [pid for pid, parent in parents.items() if parent == raylet]
    for pid in [raylet, *mine]:
        os.kill(pid, signal.SIGKILL)
    print(len(mine), flush=True)
cluster.shutdown()
"""
"""Three machines of one core each; a line on its input kills one, with all its processes."""


class Machines:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin
        assert process.stdout
        self._input, self._output = process.stdin, process.stdout
        self.address = self._output.readline().strip()

    def kill_one(self) -> int:
        """Kill a machine; return how many processes of it Ray had begun."""
        print(file=self._input, flush=True)
        return int(self._output.readline())


@pytest.fixture
def machines() -> Iterator[Machines]:
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
    ) as process:
        try:
            yield Machines(process)
        finally:
            process.communicate(timeout=60)


def by_path(out: Path) -> pd.DataFrame:
    """Read a table whose rows have no order."""
    return read(out).sort_values("path", ignore_index=True)


def wait_for_shards(out: Path, count: int, process: subprocess.Popen[str]) -> int:
    """Return how many shards a table has once there are so many."""
    deadline = time.monotonic() + 120
    while (found := len(list((out / "rows").glob("shard-*")))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"only {found} shards came"
        time.sleep(0.01)
    return found


def test_score_on_ray_of_this_machine_gives_the_rows_of_the_local_engine(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    folder = many_links(tmp_path / "부품", 60)
    (folder / "00007.png").unlink()
    (folder / "00007.png").symlink_to("nowhere")  # which no machine can read: a row, no complaint
    ray, local = tmp_path / "ray", tmp_path / "local"
    words = [tiny_bundle, folder, "--evidence", "all"]
    code, out, err = finish(start(*words, "--out", ray, "--engine", "ray", "--address", "local"))
    assert code == 0, err
    assert "60 rows in" in out
    assert "workers of 2 threads on Ray" in err
    assert len(list((ray / "evidence").rglob("*.jpg"))) == 60 - len(
        [row for row in read(ray).error if row]
    )
    code, _, err = finish(start(tiny_bundle, folder, "--out", local))
    assert code == 0, err
    assert_same(by_path(ray), by_path(local))
    summaries = [json.loads((path / "summary.json").read_bytes()) for path in (ray, local)]
    assert summaries[0]["settings"] == summaries[1]["settings"]
    code, out, err = finish(start(tiny_bundle, folder, "--out", ray, "--resume"))
    assert "0 rows in" in out, "the local engine resumes what Ray began"


CRASHING = PROGRAM.replace(
    "main()",
    """
import os, signal
import sihwa.scoring.ray_engine as ray_engine
class Crashing(ray_engine._Scorer):
    def _rows(self, entries):
        if any(entry.path.endswith("crash.png") for entry in entries):
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._rows(entries)
ray_engine._Scorer = Crashing
main()
""",
)


@pytest.mark.slow
def test_score_on_ray_image_that_crashes_its_worker_costs_one_row(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    folder, out = many_links(tmp_path / "부품", 60), tmp_path / "ray"
    (folder / "00030.png").rename(folder / "crash.png")
    words = (tiny_bundle, folder, "--out")
    ray = ("--engine", "ray", "--address", "local")
    code, _, err = finish(start(*words, out, *ray, workers=1, program=CRASHING), 600)
    assert code == 0, err
    assert "retried" in err
    assert finish(start(*words, tmp_path / "local"))[0] == 0
    rows, expected = by_path(out), by_path(tmp_path / "local")
    crashed = rows.path.str.endswith("crash.png")
    assert rows[crashed].error.tolist() == ["the worker process that reads it dies each time"]
    assert rows.path.tolist() == expected.path.tolist()
    assert_same(rows[~crashed], expected[~crashed])


@pytest.mark.slow
def test_score_on_machines_of_which_one_is_killed_loses_and_doubles_nothing(
    tiny_bundle: Path, tmp_path: Path, machines: Machines
) -> None:
    # tall ones: a process is seldom idle, so work is lost with it whenever it is killed
    folder, out = many_links(tmp_path / "부품", 6_000, height=1_000), tmp_path / "ray"
    process = start(
        tiny_bundle, folder, "--out", out, "--engine", "ray", "--address", machines.address,
        workers=1,
    )  # fmt: skip
    found = wait_for_shards(out, 20, process)
    assert machines.kill_one() > 0
    code, _, err = finish(process)
    assert code == 0, err
    assert "3 workers" in err
    assert found < len(list((out / "rows").glob("shard-*"))) - 20, "it was not in the middle"
    assert finish(start(tiny_bundle, folder, "--out", tmp_path / "local"))[0] == 0
    assert_same(by_path(out), by_path(tmp_path / "local"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_score_on_machines_ended_in_the_middle_and_resumed_is_the_whole_table(
    tiny_bundle: Path, tmp_path: Path, machines: Machines, number: int, code: int
) -> None:
    folder, out = many_links(tmp_path / "부품", 3_000), tmp_path / "ray"
    words = (tiny_bundle, folder, "--out", out, "--engine", "ray", "--address", machines.address)
    process = start(*words, workers=1)
    wait_for_shards(out, 20, process)
    process.send_signal(number)
    found, _, err = finish(process)
    assert found == code, err
    assert ("Continue with --resume" in err) == (number != signal.SIGKILL)
    assert 0 < len(read(out)) < 3_000
    assert finish(start(*words, "--resume", workers=1))[0] == 0
    assert finish(start(tiny_bundle, folder, "--out", tmp_path / "local"))[0] == 0
    assert_same(by_path(out), by_path(tmp_path / "local"))
