from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from sihwa.dataset import Manifest
from sihwa.dataset.manifest import MANIFEST_SCHEMA
from sihwa.evaluation import check_similarity
from sihwa.storage import sha256_of_bytes

PARTS, EXPOSURES = 60, 3
NAMED = "part{part}_{number}.png"


def made_embedding() -> NDArray[np.float64]:
    """Return embeddings in which images of one part are neighbours."""
    rng = np.random.default_rng(0)
    part = np.repeat(rng.normal(size=(PARTS, 20)), EXPOSURES, axis=0)
    return np.asarray(part + 0.1 * rng.normal(size=part.shape))


def made_manifest(
    name: str, *, tells_similar: bool, grouped: int = 0, by_similarity: bool = False
) -> Manifest:
    """Return parts of two classes, each with three images; `name` says what names tell.

    The first `grouped` parts have a group; groups by similarity hold two images of each part.
    """
    rows = [(part, number) for part in range(PARTS) for number in range(EXPOSURES)]
    digest = [sha256_of_bytes(bytes(row)) for row in rows]
    values = {
        "path": [
            name.format(part=part, number=number, digest=one)
            for (part, number), one in zip(rows, digest, strict=True)
        ],
        "label": [("bad", "good")[part % 2] for part, _ in rows],
        "split": ["train"] * len(rows),
        "sha256": digest,
        "width": [9] * len(rows),
        "height": [9] * len(rows),
        "similar": [digest[part * EXPOSURES] if tells_similar else None for part, _ in rows],
        "group": [f"part {part}" if part < grouped else None for part, _ in rows],
    }
    if by_similarity:
        alike = [digest[part * EXPOSURES] if number < 2 else None for part, number in rows]
        values |= {"similar": alike, "group": alike}
    columns = {one: values.get(one, [None] * len(rows)) for one in MANIFEST_SCHEMA.names}
    table = pa.table(columns, schema=MANIFEST_SCHEMA)
    return Manifest(table, "made", ("bad", "good"), ("good",))


@pytest.mark.parametrize(
    ("name", "tells_similar", "setting"),
    [
        ("{digest}.png", True, "similar"),
        ("{digest}.png", False, None),
        (NAMED, True, r"pattern:part(\d+)_\d+[.]"),
    ],
    ids=["similar", "nothing", "names before similar"],
)
def test_check_similarity_proposes_what_tells_the_parts(
    name: str, tells_similar: bool, setting: str | None
) -> None:
    found = check_similarity(made_embedding(), made_manifest(name, tells_similar=tells_similar), 0)
    assert (found.proposal and found.proposal.setting) == setting
    assert (found.by_group is None) == (setting is None)


def test_check_similarity_judges_the_images_without_a_group() -> None:
    some = check_similarity(
        made_embedding(), made_manifest(NAMED, tells_similar=False, grouped=15), 0
    )
    assert (some.known.named, some.known.images) == (45, 180)
    assert some.proposal is not None
    assert (some.proposal.groups, some.proposal.images) == (45, 135)
    assert {row // EXPOSURES for rows in some.examples for row in rows} == set(range(15, 21))
    assert some.dependence is not None
    assert some.dependence.images == 135
    every = check_similarity(
        made_embedding(), made_manifest(NAMED, tells_similar=False, grouped=60), 0
    )
    assert every.proposal is None
    assert not every.known.are_partial


@pytest.mark.parametrize(("name", "found"), [("{digest}.png", False), (NAMED, True)])
def test_check_similarity_of_similar_groups_asks_the_names(name: str, found: bool) -> None:
    manifest = made_manifest(name, tells_similar=False, by_similarity=True)
    similarity = check_similarity(made_embedding(), manifest, 0)
    assert similarity.known.by_similarity
    assert (similarity.proposal is not None) == found


def test_check_similarity_proposes_capture_times() -> None:
    manifest = made_manifest("{digest}.png", tells_similar=False)
    start, rows = datetime(2026, 1, 2), range(PARTS * EXPOSURES)
    times = [
        (start + timedelta(seconds=30 * (row // EXPOSURES) + 4 * (row % EXPOSURES))).isoformat()
        for row in rows
    ]
    place = manifest.table.schema.get_field_index("exif_time")
    table = manifest.table.set_column(place, "exif_time", pa.array(times))
    found = check_similarity(made_embedding(), replace(manifest, table=table), 0)
    assert found.proposal is not None
    assert found.proposal.setting in ("time:5", "time:15")
    assert (found.proposal.groups, found.proposal.images) == (PARTS, PARTS * EXPOSURES)


def test_check_similarity_counts_the_parts_that_given_splits_divide() -> None:
    manifest = made_manifest(NAMED, tells_similar=False)
    split = [("train", "test")[row % 6 == 0] for row in range(PARTS * EXPOSURES)]
    divided = manifest.with_split(split)
    assert check_similarity(made_embedding(), divided, 0).cut == 0  # drawn ones are drawn anew
    assert check_similarity(made_embedding(), replace(divided, given_splits=True), 0).cut == 30
