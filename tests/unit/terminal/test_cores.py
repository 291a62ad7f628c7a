"""CPU quotas of containers, from files as the kernel shows them."""

import math
from pathlib import Path

import pytest

from sihwa.terminal import cores
from sihwa.terminal.cores import available_cores, cpu_quota, limited_threads


def quota(tmp_path: Path, groups: str, files: dict[str, str]) -> float:
    (tmp_path / "groups").write_text(groups)
    for name, content in files.items():
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_text(content)
    return cpu_quota(tmp_path / "groups", tmp_path / "root")


V1 = "3:cpu,cpuacct:/docker/abc\n1:memory:/docker/abc\n"
QUOTA, PERIOD = "cpu.cfs_quota_us", "cpu.cfs_period_us"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1.5),
        ("0::/a\n", {"unified/a/cpu.max": "50000 100000"}, 0.5),
        (V1, {f"cpu/{QUOTA}": "300000\n", f"cpu/{PERIOD}": "100000\n"}, 3),
        (V1, {f"cpu,cpuacct/docker/{QUOTA}": "-1", f"cpu,cpuacct/docker/{PERIOD}": "9"}, math.inf),
        (V1, {f"memory/{QUOTA}": "100000", f"memory/{PERIOD}": "100000"}, math.inf),
        ("0::/\n", {"cpu.max": "what?"}, math.inf),
        ("0::/\n", {}, math.inf),
    ],
)
def test_cpu_quota_is_the_least_limit(
    tmp_path: Path, groups: str, files: dict[str, str], expected: float
) -> None:
    assert quota(tmp_path, groups, files) == expected


def test_cpu_quota_without_control_groups_is_none(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path / "missing", tmp_path) == math.inf


@pytest.mark.parametrize(
    ("limit", "allowed", "threads"), [(1.5, 2, 2), (0.2, 1, 1), (99, 8, 0), (float("inf"), 8, 0)]
)
def test_available_cores_follow_the_quota(
    monkeypatch: pytest.MonkeyPatch, limit: float, allowed: int, threads: int
) -> None:
    monkeypatch.setattr(cores, "cpu_quota", lambda: limit)
    monkeypatch.setattr(cores, "visible_cores", lambda: 8)
    assert available_cores() == allowed
    assert limited_threads() == threads
    assert limited_threads(5) == 5
