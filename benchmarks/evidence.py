"""Measure whether the evidence points at the defect, on the boxes of NEU-DET.

    python benchmarks/evidence.py RUN

RUN is a finished run on NEU-DET with its inspector. For each test image that gets its own class and
has boxes of it: does the strongest place of the evidence map lie in a box (the pointing game), and
how much does the evidence box overlap with the box that fits it best? A place taken at random hits
with the share of the image that the boxes cover.
"""

import argparse
import itertools
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sihwa.dataset import read_manifest
from sihwa.evaluation import clopper_pearson
from sihwa.inspector import EvidenceBox, load_inspector
from sihwa.terminal.progress import progress_bar

Box = tuple[int, int, int, int]


def main() -> None:
    """Measure the run named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a finished run on NEU-DET")
    run = parser.parse_args().run
    manifest = read_manifest(run / "manifest.parquet")
    inspector = load_inspector(run / "inspector")
    found: dict[str, list[tuple[bool, float, float]]] = defaultdict(list)
    rows = np.flatnonzero(manifest.split == "test").tolist()
    with progress_bar("evidence", len(rows)) as advance:
        for row in rows:
            label = manifest.table["label"][row].as_py()
            boxes = boxes_of(manifest.table["boxes"][row].as_py() or [], label)
            (inspection,) = inspector.predict([manifest.read_image(row)])
            advance(1)
            if boxes and inspection.top_class == label and inspection.box:
                size = manifest.table["height"][row].as_py(), manifest.table["width"][row].as_py()
                covered = cover(boxes, *size)
                hit = bool(covered[peak(inspection.evidence, *size)])
                best = max(overlap(inspection.box, box) for box in boxes)
                found[label].append((hit, float(covered.mean()), best))
    print("| class | images | pointing game | at random | overlap with the best box |")
    print("| --- | --- | --- | --- | --- |")
    every = list(itertools.chain.from_iterable(found.values()))
    for name, values in [*sorted(found.items()), ("all", every)]:
        hits = sum(hit for hit, _, _ in values)
        low, high = clopper_pearson(hits, len(values), 0.95)
        chance, best = (np.mean([one[place] for one in values]) for place in (1, 2))
        print(f"| {name} | {len(values)} | {hits / len(values):.1%} ({low:.1%} – {high:.1%}) | "
              f"{chance:.1%} | {best:.2f} |")  # fmt: skip


def boxes_of(boxes: list[dict[str, object]], label: str) -> list[Box]:
    """Return the boxes of a class: left, top, right, bottom, in pixels."""
    edges = ("xmin", "ymin", "xmax", "ymax")
    return [tuple(one[edge] for edge in edges) for one in boxes if one["label"] == label]  # type: ignore[misc]


def cover(boxes: list[Box], height: int, width: int) -> NDArray[np.bool_]:
    """Return which pixels lie in a box, (H, W)."""
    covered = np.zeros((height, width), np.bool_)
    for left, top, right, bottom in boxes:
        covered[top:bottom, left:right] = True
    return covered


def peak(evidence: NDArray[np.floating], height: int, width: int) -> tuple[int, int]:
    """Return the pixel at the middle of the strongest place of a map (h, w)."""
    row, column = np.unravel_index(int(evidence.argmax()), evidence.shape)
    down, across = evidence.shape
    return int((row + 0.5) * height / down), int((column + 0.5) * width / across)


def overlap(one: EvidenceBox | Box, other: Box) -> float:
    """Return intersection over union of two boxes, in [0, 1].

    >>> overlap((0, 0, 2, 2), (1, 0, 3, 2))
    0.3333333333333333
    """
    sides = [
        max(0, min(one[place + 2], other[place + 2]) - max(one[place], other[place]))
        for place in (0, 1)
    ]
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    both = sides[0] * sides[1]
    return both / (sum(area) - both)


if __name__ == "__main__":
    main()
