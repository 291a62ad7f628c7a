"""An explained decision as one HTML page that needs no other file and no network."""

from pathlib import Path

from sihwa.errors import UnreadableImage
from sihwa.images import read_image
from sihwa.inspector import evidence_outline
from sihwa.qualification.explain import Explanation
from sihwa.reporting import image_uri
from sihwa.reporting.template import render_template
from sihwa.storage import write_text
from sihwa.terminal.names import printable

_SIDE = 900
_SMALL = 220


def write_explanation(path: Path, found: Explanation, inspector: str, classes: list[str]) -> None:
    """Write the page, whole or not at all.

    Raises:
        StorageError: The file system refused.
    """
    inspection = found.inspection
    shares = sorted(
        zip(inspection.probability.tolist(), classes, strict=True), key=lambda pair: -pair[0]
    )
    page = render_template(
        "sihwa.qualification",
        "explain.html.j2",
        path=printable(str(found.path)),
        decision=inspection.decision.outcome,
        reason=printable(inspection.decision.reason),
        inspector=inspector,
        rules=found.rules,
        shares=[{"name": printable(name), "value": f"{share:.4f}"} for share, name in shares],
        original=image_uri(found.image, _SIDE),
        outlined=_outlined(found),
        neighbours=[
            {
                "path": printable(one.path),
                "name": printable(Path(one.path).name),
                "label": printable(one.label),
                "similarity": f"{one.similarity:.2f}",
                "uri": _uri(one.path),
            }
            for one in found.neighbours
        ],
    )
    write_text(path, page)


def _outlined(found: Explanation) -> str | None:
    evidence = found.inspection.evidence
    return image_uri(evidence_outline(found.image, evidence), _SIDE) if evidence.size else None


def _uri(path: str) -> str | None:
    try:
        return image_uri(read_image(path), _SMALL)
    except UnreadableImage:
        return None
