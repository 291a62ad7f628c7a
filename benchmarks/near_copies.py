"""Plant copies in a data set, and see how many are found and what else is.

    python benchmarks/near_copies.py NEU-DET.zip
    python benchmarks/near_copies.py elpv --seed 1

Half of the images choose the least score of a near-identical pair, the other half reports. Of each
image one copy is planted: saved again, resized, brightened or darkened, shifted, cropped by 5 % and
scaled back, or exposed anew (see exposures.py). A pair that is found is true if both show one
image, and known if the two untouched images match each other; any other is false. Then six
exposures of each of some images, whose names say nothing, are grouped as dataset.group=similar
does. At the end, 10,000 images are compared for the time it takes.
"""

import argparse
import io
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from exposures import expose, read_source
from numpy.typing import NDArray
from PIL import Image

from sihwa.dataset.near_copies import (
    COPY_SCORE,
    SIMILAR_SCORE,
    NearCopies,
    find_near_copies,
    make_thumbnail,
    near_copy_groups,
    similar_groups,
)

Picker = np.random.Generator
Pixels = NDArray[np.uint8]


def _decoded(content: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def _saved(pixels: Pixels, quality: int = 95) -> Pixels:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return _decoded(stream.getvalue())


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    return _saved(np.asarray(resized))


def _saved_again(pixels: Pixels, rng: Picker) -> Pixels:
    return _saved(pixels, int(rng.integers(60, 96)))


def _made_smaller(pixels: Pixels, rng: Picker) -> Pixels:
    height, width, _ = pixels.shape
    share = rng.uniform(0.4, 0.8)
    return _resized(pixels, int(share * width), int(share * height))


def _brightened(pixels: Pixels, rng: Picker) -> Pixels:
    factor = rng.choice([rng.uniform(0.65, 0.85), rng.uniform(1.15, 1.4)])
    return _saved(np.clip(np.round(pixels * factor), 0, 255).astype(np.uint8))


def _shifted(pixels: Pixels, rng: Picker) -> Pixels:
    height, width, _ = pixels.shape
    down, right = np.round(rng.uniform(-0.03, 0.03, 2) * (height, width)).astype(int)
    pad = int(0.03 * max(height, width)) + 1
    wide = np.pad(pixels, ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
    return _saved(wide[pad + down :, pad + right :][:height, :width])


def _cropped(pixels: Pixels, rng: Picker) -> Pixels:
    height, width, _ = pixels.shape
    tall, wide = round(0.95 * height), round(0.95 * width)
    top, left = rng.integers(0, (height - tall + 1, width - wide + 1))
    return _resized(pixels[top : top + tall, left : left + wide], width, height)


def _exposed(pixels: Pixels, rng: Picker) -> Pixels:
    return _decoded(expose(pixels, rng))


KINDS: dict[str, Callable[[Pixels, Picker], Pixels]] = {
    "saved again": _saved_again,
    "made smaller": _made_smaller,
    "brightened": _brightened,
    "shifted": _shifted,
    "cropped by 5 %": _cropped,
    "exposed anew": _exposed,
}


class Planted(NamedTuple):
    """What was found among images and one copy of each."""

    true: NDArray[np.float32]
    """Scores of the pairs of an image and its copy."""
    known: NDArray[np.float32]
    """Scores of pairs of images that match without any copy."""
    false: NDArray[np.float32]
    """Scores of all other pairs."""
    together: int
    """Images that are put into one group with their copy."""
    images: int

    def row(self, least: float) -> str:
        """Return recall and the numbers of pairs at a least score."""
        true, known, false = (int((one >= least).sum()) for one in self[:3])
        share = false / max(true + known + false, 1)
        found = f"recall {true / self.images:6.1%}  false {false} ({share:.2%})  known {known}"
        return f"{found}  in one group {self.together / self.images:.1%}"


def main() -> None:
    """Read the flags and print every figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="elpv, or the path of NEU-DET")
    parser.add_argument("--parts", type=int, default=500, help="images with six exposures")
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    manifest = read_source(flags.source)
    paths = [path.rpartition("/")[2] for path in manifest.table["path"].to_pylist()]
    images = [manifest.read_image(row) for row in range(len(paths))]
    rng = np.random.default_rng(flags.seed)
    _print_untouched(images, paths)
    shuffled = rng.permutation(len(images))
    for name, rows in zip(("choosing", "reporting"), np.array_split(shuffled, 2), strict=True):
        found = _plant([images[row] for row in rows], rng)
        print(f"\n{name} half, {len(rows)} images and a copy of each")
        for least in (0.5, 0.6, COPY_SCORE, 0.7) if name == "choosing" else (COPY_SCORE,):
            for kind, one in found.items():
                print(f"  score {least:.2f}  {kind:15} {one.row(least)}")
    _print_exposures([images[row] for row in shuffled[: flags.parts]], rng)
    _print_time(images, rng)


def _print_untouched(images: list[Pixels], paths: list[str]) -> None:
    found = find_near_copies(_thumbnails(images), least=SIMILAR_SCORE)
    size = np.bincount(near_copy_groups(found, len(images)))
    copies = size[size > 1]
    print(f"untouched: {len(images)} images, {copies.sum()} of them in {len(copies)} groups")
    best = np.argsort(-found.score)[:30]
    pairs = [(*found.pairs[one].tolist(), found.score[one]) for one in best]
    print("; ".join(f"{paths[one]} {paths[other]} {score:.2f}" for one, other, score in pairs))


def _plant(images: list[Pixels], rng: Picker) -> dict[str, Planted]:
    untouched = _thumbnails(images)
    matching = set(map(tuple, find_near_copies(untouched, least=0.5).pairs.tolist()))
    found = {}
    for kind, copy in KINDS.items():
        copies = _thumbnails([copy(image, rng) for image in images])
        matches = find_near_copies(np.concatenate([untouched, copies]), least=SIMILAR_SCORE)
        one, other = near_copy_groups(matches, 2 * len(images)).reshape(2, -1)
        pairs, score = matches
        shown = np.sort(pairs % len(images), axis=1)
        true = shown[:, 0] == shown[:, 1]
        known = np.array([tuple(pair) in matching for pair in shown.tolist()], bool)
        scores = score[true], score[known & ~true], score[~true & ~known]
        found[kind] = Planted(*scores, int((one == other).sum()), len(images))
    return found


def _print_exposures(images: list[Pixels], rng: Picker) -> None:
    exposures = _thumbnails([_exposed(image, rng) for image in images for _ in range(6)])
    part = np.repeat(np.arange(len(images)), 6)
    found = find_near_copies(exposures, least=SIMILAR_SCORE)
    group = similar_groups(found, len(part))
    true = _pairs_within(np.stack([group, part], axis=1))
    precision, recall = true / max(_pairs_within(group[:, None]), 1), true / (15 * len(images))
    print(f"\nsix exposures of {len(images)} images, as dataset.group=similar groups them")
    print(f"  pairs: precision {precision:.3f}, recall {recall:.3f}")


def _pairs_within(key: NDArray[np.intp]) -> int:
    count = np.unique(key, axis=0, return_counts=True)[1]
    return int((count * (count - 1) // 2).sum())


def _print_time(images: list[Pixels], rng: Picker) -> None:
    rows = rng.integers(0, len(images), 10_000)
    begun = time.process_time()
    many = _thumbnails([np.roll(images[row], rng.integers(0, 99, 2), (0, 1)) for row in rows])
    prepared = time.process_time()
    found: NearCopies = find_near_copies(many)
    seconds = time.process_time() - prepared
    print(
        f"\n10,000 images: {seconds:.1f} s of processor time to compare ({len(found.pairs)} pairs)"
    )
    print(f"  thumbnails, with the shifts that were drawn: {prepared - begun:.1f} s")


def _thumbnails(images: list[Pixels]) -> NDArray[np.uint8]:
    return np.stack([make_thumbnail(image) for image in images])


if __name__ == "__main__":
    main()
