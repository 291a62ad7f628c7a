"""Measure what the audit finds and what it costs.

    python benchmarks/audit.py labels NEU-DET.zip
    python benchmarks/audit.py cost NEU-DET.zip --images 10000

`labels` changes 5 % of the labels at random, ten times, and tells precision and recall of the
suspected ones. Seeds 3 to 12; 0 to 2 were used to choose the classifier's strength. `cost` writes
images of 200 × 200 to a temporary folder, each a turned and shifted one of NEU-DET with noise, and
audits them in a process of its own with an empty cache: wall time, processor time and peak
memory; then again with a full cache. Compare wall times on a quiet machine alone.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from sihwa.audit import Inventory
from sihwa.audit.out_of_fold import principal_directions
from sihwa.audit.wrong_labels import find_wrong_labels
from sihwa.dataset import Manifest, measure_manifest, read_as_given
from sihwa.model import create_network
from sihwa.run.compose import compose_config
from sihwa.run.processes import choose_device
from sihwa.training import embed_manifest

_SHARE = 0.05
_SEEDS = range(3, 13)


def main() -> None:
    """Read the flags and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["labels", "cost"])
    parser.add_argument("root", help="NEU-DET, a folder or .zip")
    parser.add_argument("--images", type=int, default=10_000)
    flags = parser.parse_args()
    if flags.what == "labels":
        measure_labels(flags.root)
    else:
        measure_cost(flags.root, flags.images)


def measure_labels(root: str) -> None:
    """Print precision and recall of the suspected labels for each seed."""
    config = compose_config(["dataset=neu_det", f"dataset.root={root}"])
    manifest = read_as_given(config.dataset)
    network = create_network(config.model, len(manifest.classes), config.seed)
    cache_dir = Path(config.cache_dir)
    device = choose_device("cpu")
    embedding = embed_manifest(network, manifest, cache_dir=cache_dir, device=device)
    feature = principal_directions(embedding)
    facts = measure_manifest(manifest)
    rates = []
    for seed in _SEEDS:
        changed, planted = plant_labels(manifest, seed)
        found = list(find_wrong_labels(Inventory(changed, facts), feature, config.seed))
        suspected = {mark.path for one in found for mark in one.images}
        hits = len(suspected & planted)
        rates.append((hits / max(1, len(suspected)), hits / len(planted)))
        print(f"seed {seed}: precision {rates[-1][0]:.3f}, recall {rates[-1][1]:.3f}")
    print("mean: precision {:.3f}, recall {:.3f}".format(*np.mean(rates, axis=0)))


def plant_labels(manifest: Manifest, seed: int) -> tuple[Manifest, set[str]]:
    """Return the manifest with 5 % of its labels changed, and the paths of these images."""
    rng = np.random.default_rng(seed)
    label = manifest.label_index.copy()
    rows = rng.permutation(len(label))[: round(_SHARE * len(label))]
    kinds = len(manifest.classes)
    label[rows] = (label[rows] + rng.integers(1, kinds, len(rows))) % kinds
    place = manifest.table.schema.get_field_index("label")
    column = pa.array([manifest.classes[one] for one in label.tolist()])
    table = manifest.table.set_column(place, manifest.table.schema.field("label"), column)
    paths = manifest.table["path"].to_pylist()
    return replace(manifest, table=table), {paths[row] for row in rows.tolist()}


def measure_cost(root: str, count: int) -> None:
    """Print what an audit takes with an empty and with a full cache."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(root, folder / "images", count)
        for cache in ("empty", "full"):
            command = [
                sys.executable, "-m", "sihwa", "audit", str(folder / "images"),
                "dataset=image_folder", f"cache_dir={folder / 'cache'}", "-o", str(folder / cache),
            ]  # fmt: skip
            begin = time.perf_counter()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - begin
            if status:
                raise SystemExit(f"the audit ended with status {status}")
            print(
                f"{count} images, {cache} cache: {seconds:.1f} s, processor "
                f"{usage.ru_utime + usage.ru_stime:.1f} s, peak {usage.ru_maxrss / 1024:.0f} MiB"
            )


def write_images(root: str, folder: Path, count: int) -> None:
    """Write turned and shifted images with noise, in a folder per class."""
    config = compose_config(["dataset=neu_det", f"dataset.root={root}"])
    manifest = read_as_given(config.dataset)
    label = manifest.table["label"].to_pylist()
    rng = np.random.default_rng(0)
    for number in range(count):
        row = number % len(label)
        image = manifest.read_image(row)[..., 0]
        turned = np.rot90(np.roll(image, rng.integers(0, 200, 2), (0, 1)), rng.integers(4))
        noisy = np.clip(turned + rng.normal(0, 3, turned.shape), 0, 255).astype(np.uint8)
        place = folder / label[row]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy).save(place / f"{number:06d}.jpg", quality=90)


if __name__ == "__main__":
    main()
