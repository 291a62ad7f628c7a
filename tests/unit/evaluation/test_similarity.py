import numpy as np
import pyarrow as pa
import pytest

from sihwa.dataset import Manifest
from sihwa.dataset.manifest import MANIFEST_SCHEMA
from sihwa.evaluation import check_similarity
from sihwa.storage import sha256_of_bytes

PARTS, EXPOSURES = 60, 3


def made_manifest(name: str, *, tells_similar: bool) -> Manifest:
    """Return parts of two classes, each with three images; `name` says what names tell."""
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
    }
    columns = {one: values.get(one, [None] * len(rows)) for one in MANIFEST_SCHEMA.names}
    table = pa.table(columns, schema=MANIFEST_SCHEMA)
    return Manifest(table, "made", ("bad", "good"), ("good",))


@pytest.mark.parametrize(
    ("name", "tells_similar", "setting"),
    [
        ("{digest}.png", True, "similar"),
        ("{digest}.png", False, None),
        ("part{part}_{number}.png", True, r"pattern:part(\d+)_\d+[.]"),
    ],
    ids=["similar", "nothing", "names before similar"],
)
def test_check_similarity_proposes_what_tells_the_parts(
    name: str, tells_similar: bool, setting: str | None
) -> None:
    rng = np.random.default_rng(0)
    part = np.repeat(rng.normal(size=(PARTS, 20)), EXPOSURES, axis=0)
    embedding = part + 0.1 * rng.normal(size=part.shape)
    found = check_similarity(embedding, made_manifest(name, tells_similar=tells_similar), 0)
    assert (found.proposal and found.proposal.setting) == setting
    assert (found.by_group is None) == (setting is None)
