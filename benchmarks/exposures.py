"""Draw several exposures of each image, to see whether figures hold for parts.

    python benchmarks/exposures.py NEU-DET.zip out/neu6
    python benchmarks/exposures.py elpv out/elpv6 --images 500 --names counting
    python benchmarks/exposures.py elpv out/chance --images 500 --labels random
    python benchmarks/exposures.py elpv out/saved --exposures 4 --labels random --saved-only

Each image of the data set stands for a part. It is saved six times: with another gamma (0.7 to
1.4), uneven light, a shift of up to 3 %, noise, and JPEG compression. The folder has one folder per
class and can be read with dataset=image_folder. With --labels random the class is drawn for each
part, so nothing but the part itself can be learnt. With --saved-only the copies differ in JPEG
compression alone.
"""

import argparse
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sihwa.dataset import Manifest, read_dataset
from sihwa.run.compose import compose_config

_NAMES = {
    "part": "part{part:05d}_exposure{exposure}.jpg",
    "counting": "{number:06d}.jpg",
    "nothing": "{digest}.jpg",
}


def main() -> None:
    """Read the flags and write the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="elpv, or the path of NEU-DET")
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, help="parts, drawn at random; default all")
    parser.add_argument("--exposures", type=int, default=6)
    parser.add_argument("--names", choices=sorted(_NAMES), default="part")
    parser.add_argument("--labels", choices=["own", "random"], default="own")
    parser.add_argument("--saved-only", action="store_true", help="only save again, as JPEG")
    parser.add_argument("--seed", type=int, default=0)
    write_exposures(parser.parse_args())


def write_exposures(flags: argparse.Namespace) -> None:
    """Write every exposure of the chosen images."""
    rng = np.random.default_rng(flags.seed)
    manifest = read_source(flags.source)
    rows = rng.permutation(manifest.table.num_rows)[: flags.images]
    labels = np.array(manifest.table["label"].to_pylist())[rows]
    if flags.labels == "random":
        labels = rng.permutation(labels)
    for part, (row, label) in enumerate(zip(rows.tolist(), labels.tolist(), strict=True)):
        folder = flags.out / label
        folder.mkdir(parents=True, exist_ok=True)
        image = manifest.read_image(row)
        for exposure in range(flags.exposures):
            name = _NAMES[flags.names].format(
                part=part,
                exposure=exposure,
                number=part * flags.exposures + exposure,
                digest=rng.bytes(8).hex(),
            )
            again = as_jpeg(image, rng) if flags.saved_only else expose(image, rng)
            (folder / name).write_bytes(again)
    print(f"{len(rows)} parts, {flags.exposures} exposures each: {flags.out}")


def expose(image: NDArray[np.uint8], rng: np.random.Generator) -> bytes:
    """Return one exposure of an image (H, W, 3) as a JPEG."""
    height, width, _ = image.shape
    shift = np.round(rng.uniform(-0.03, 0.03, 2) * (height, width)).astype(int)
    pad = int(0.03 * max(height, width)) + 1
    wide = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
    top, left = pad + shift
    moved = wide[top : top + height, left : left + width] / 255
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    slope = rng.uniform(-0.15, 0.15, 2)
    light = 1 + slope[0] * y + slope[1] * x
    lit = moved ** rng.uniform(0.7, 1.4) * light[..., None]
    noisy = lit + rng.normal(0, rng.uniform(0.005, 0.02), (height, width, 1))
    return as_jpeg(np.clip(np.round(255 * noisy), 0, 255).astype(np.uint8), rng)


def as_jpeg(pixels: NDArray[np.uint8], rng: np.random.Generator) -> bytes:
    """Return an image (H, W, 3) as a JPEG of some quality from 70 to 95."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=int(rng.integers(70, 96)))
    return stream.getvalue()


def read_source(source: str) -> Manifest:
    """Read ELPV or the NEU-DET at this path."""
    settings = ["dataset=elpv"]
    if source != "elpv":
        settings = ["dataset=neu_det", f"dataset.root={source}"]
    config = compose_config(settings)
    return read_dataset(config.dataset, config.seed)


if __name__ == "__main__":
    main()
