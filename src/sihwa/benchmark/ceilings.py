"""What this machine could do at best, and what of it preparing an image takes."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sihwa.benchmark.contestant import how_it_ended
from sihwa.benchmark.image_files import Images
from sihwa.images import available_cores
from sihwa.terminal.progress import progress_bar

_PROBE = Path(__file__).with_name("probe.py")
_PATIENCE_S = 300
"""For one probe: each takes some seconds."""
Document = dict[str, Any]


def measure_ceilings(
    inspector: Path,
    images: Images,
    devices: Sequence[str],
    threads: Sequence[int],
    folder: Path,
) -> Document:
    """Measure the ceilings of each device and number of threads; see `machine_probe`.

    Args:
        inspector: The inspector folder, or its .onnx file, for what its preprocessing takes.
        images: For decoding and the disk.
        devices: `cpu`, `cuda`, `cuda:1`.
        threads: Of one inference on the CPU; 0 is all cores.
        folder: On the disk that is measured.
    """
    counts = {count: count or available_cores() for count in threads}
    gpus = [device for device in devices if device != "cpu"]
    ceilings: Document = {"cpu": [], "gpus": {}, "disk": None, "preprocessing": []}
    with progress_bar("measuring ceilings", 2 * len(counts) + len(gpus) + 1, "steps") as advance:
        for name, count in counts.items():
            found = _probe(probe="cpu", threads=count, paths=images.paths)
            ceilings["cpu"].append({**found, "threads": name})
            advance(1)
            request = {"inspector": str(inspector), "threads": name, "paths": images.paths}
            ceilings["preprocessing"].append(_probe(probe="preprocessing", **request))
            advance(1)
        for device in gpus:
            ceilings["gpus"][device] = _probe(probe="cuda", device=device)
            advance(1)
        folder.mkdir(parents=True, exist_ok=True)
        ceilings["disk"] = _probe(probe="disk", folder=str(folder), paths=images.paths)
        advance(1)
    return ceilings


def _probe(**request: object) -> Any:  # noqa: ANN401 -- whatever JSON holds
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_PROBE)],
            input=json.dumps(request) + "\n",
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_PATIENCE_S,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"it did not end within {_PATIENCE_S} s"}
    if done.returncode:
        return {"error": how_it_ended(done.returncode, done.stderr)}
    return json.loads(done.stdout.splitlines()[-1])
