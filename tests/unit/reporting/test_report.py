import base64
import io
import math
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from sihwa.augmentation import CORRUPTIONS
from sihwa.evaluation import (
    Dependence,
    Evaluation,
    EvaluationConfig,
    KnownGroups,
    Proposal,
    Similarity,
    Truth,
    evaluate,
)
from sihwa.reporting import MOST_ERRORS, ErrorImage, Report, similarity_sentences, write_report
from sihwa.reporting.page import render
from sihwa.reporting.wording import WORDS

HOSTILE = "<script>alert('x')</script>\"onload=1"


class Page(HTMLParser):
    """Collects what a browser would see: tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def sources(self) -> list[str]:
        return [one["src"] or "" for tag, one in self.tags if tag == "img"]


def measured(
    predicted: Sequence[int],
    label: Sequence[int],
    classes: Sequence[str],
    accept: Sequence[str] = (),
) -> Evaluation:
    probability = np.full((len(predicted), len(classes)), 0.1 / (len(classes) - 1))
    probability[np.arange(len(predicted)), list(predicted)] = 0.9
    config = EvaluationConfig(resamples=100)
    return evaluate(
        probability,
        Truth(np.array(label), classes, accept_classes=accept),
        outcome=["accept" if classes[one] in accept else "reject" for one in predicted],
        config=config,
    )


def wrong(**changed: object) -> ErrorImage:
    image: npt.NDArray[np.uint8] = np.full((40, 60, 3), 90, dtype=np.uint8)
    fields = {
        "image": image,
        "path": "사진/시편 1.jpg",
        "true_class": "good",
        "predicted_class": "crack",
        "probability": 0.9,
        "evidence": np.eye(4),
    }
    return ErrorImage(**(fields | changed))  # type: ignore[arg-type]


def dependence(*accuracy: float) -> Dependence:
    return Dependence(
        images=900, by_group=False, left_out=(0, 5, 20), accuracy=accuracy,
        escapes=tuple(1 - one for one in accuracy), overkill=(0.0, 0.0, 0.0), p_value=1e-6,
    )  # fmt: skip


PROPOSAL = Proposal("pattern:p([0-9]+)", 150, 900, 0.8, 0.005)


@pytest.mark.parametrize(
    ("similarity", "warns", "texts"),
    [
        (Similarity(dependence(0.99, 0.99, 0.98), None, None), False, ["99.00 % to 98.00 %"]),
        (Similarity(dependence(0.96, 0.9, 0.83), None, None), True, ["4.00 % to 17.00 %"]),
        (
            Similarity(dependence(0.99, 0.99, 0.98), PROPOSAL, dependence(0.8, 0.8, 0.8)),
            True,
            ["150 parts", "99.00 % to 80.00 %", "dataset.group=pattern:p([0-9]+)"],
        ),
    ],
    ids=["stays", "falls", "proposal"],
)
def test_report_warns_first_where_figures_rest_on_similar_images(
    similarity: Similarity, warns: bool, texts: list[str]
) -> None:
    text = Page(render(report(similarity=similarity))).text.replace("\u00a0", " ")
    assert all(one in text for one in texts)
    assert similarity.warns == warns
    assert (text.index(texts[0]) < text.index("got a wrong label")) == warns


@pytest.mark.parametrize(
    ("accuracy", "p_value", "chance", "verdict"),
    [
        ((0.99, 0.99, 0.99), 0.5, 0.5, "The figures do not rest on similar images: "),
        ((0.99, 0.98, 0.975), 1e-4, 0.5, "The figures rest on similar images a little: "),
        ((0.94, 0.9, 0.88), 0.04, 0.5, "Too few images tell whether"),
        ((0.52, 0.52, 0.51), 0.4, 0.5, "hardly beats chance (50.00 %): "),
    ],
    ids=["stays", "falls a little", "may fall", "nothing learnt"],
)
def test_similarity_sentences_say_what_is_known(
    accuracy: tuple[float, ...], p_value: float, chance: float, verdict: str
) -> None:
    found = replace(dependence(*accuracy), p_value=p_value, chance=chance)
    (text,) = similarity_sentences(Similarity(found, None, None))
    assert verdict in text.replace("\u00a0", " ")
    assert f"p = {p_value:.2g}" in text


@pytest.mark.parametrize(
    ("known", "texts"),
    [
        (KnownGroups(60, 240), ["60 of 240 images have a group", "180 images without a group"]),
        (KnownGroups(77, 240, by_similarity=True), ["is a partial remedy"]),
    ],
    ids=["some", "similar"],
)
def test_similarity_sentences_of_partial_groups_say_what_is_open(
    known: KnownGroups, texts: list[str]
) -> None:
    found = replace(dependence(0.99, 0.99, 0.99), images=180, of_some=not known.by_similarity)
    similarity = Similarity(found, None, None, known=known)
    told = " ".join(similarity_sentences(similarity))
    assert all(text in told for text in texts)
    assert ("do not rest" in told) == (not known.by_similarity)


def test_report_lists_the_first_findings_and_counts_the_rest() -> None:
    assert "audit.html" not in render(report())
    text = Page(render(report(findings=[f"severe: finding {n}" for n in range(11)]))).text
    assert "severe: finding 7." in text
    assert "finding 8" not in text
    assert "3 more" in text


def report(evaluation: Evaluation | None = None, **changed: object) -> Report:
    evaluation = evaluation or measured([0, 1, 1], [0, 0, 1], ["good", "crack"], ["good"])
    fields: dict[str, object] = {
        "title": "Inspector 검사기",
        "evaluation": evaluation,
        "facts": [("Data set", "elpv"), ("Seed", "7")],
        "split_counts": {"train": dict.fromkeys(evaluation.classes, 11)},
        "errors": [],
        "curves": {},
        "similarity": Similarity(None, None, None),
        "findings": [],
        "robustness": {},
    }
    return Report(**(fields | changed))  # type: ignore[arg-type]


def test_write_report_shows_every_part(tmp_path: Path) -> None:
    target = tmp_path / "run" / "report.html"
    evaluation = measured([0, 1, 1], [0, 0, 1], ["good", "crack"], ["good"])
    counts = {"train": {"good": 11, "crack": 12}, "test": {"good": 2, "crack": 1}}
    robustness = {kind: [evaluation.accuracy] * 5 for kind in CORRUPTIONS}
    write_report(
        target, report(evaluation, split_counts=counts, errors=[wrong()], robustness=robustness)
    )
    page = Page(target.read_text(encoding="utf-8"))
    for expected in (
        "Inspector 검사기", "3 test images, 2 classes", "66.67", "0.00 – 97.50 %", "23", "Data set",
        "elpv", "사진/시편 1.jpg", "90.0 %", "exact (Clopper-Pearson)", "motion blur",
    ):  # fmt: skip
        assert expected in page.text
    assert len(page.sources()) == 2
    assert list(target.parent.iterdir()) == [target]


def test_render_page_needs_no_other_file() -> None:
    page = render(report(errors=[wrong()]))
    assert all(source.startswith("data:image/jpeg;base64,") for source in Page(page).sources())
    assert {tag for tag, _ in Page(page).tags}.isdisjoint({"script", "link", "iframe", "object"})
    assert not re.search(r"https?://|url\(|@import", page)
    assert "default-src 'none'" in page


def test_render_hostile_names_stay_text() -> None:
    evaluation = measured([0, 1, 1], [0, 0, 1], [HOSTILE, "crack"], [HOSTILE])
    page = Page(
        render(
            report(
                evaluation,
                title=HOSTILE,
                facts=[(HOSTILE, HOSTILE)],
                errors=[wrong(path=HOSTILE, true_class=HOSTILE, predicted_class=HOSTILE)],
                curves={HOSTILE: [1.0]},
            )
        )
    )
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any("onload" in one for _, one in page.tags)
    assert page.text.count(HOSTILE) >= 12


def test_write_report_path_that_is_no_text_is_written(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", report(errors=[wrong(path="a\udcff.jpg")]))
    assert r"a\udcff.jpg" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_render_no_error_says_what_that_proves() -> None:
    label = [0, 1] * 180
    text = Page(render(report(measured(label, label, ["a", "b"])))).text
    assert "None of 360 test images" in text
    assert "at most 0.83\u00a0%" in text
    assert "No test image got a wrong label." in text
    assert "Escapes" not in text


@pytest.mark.parametrize(
    ("predicted", "label", "texts"),
    [
        ([0, 0, 1], [0, 1, 1], ["1 of 2 images of defects were accepted", "299 defective images"]),
        ([0, 1], [0, 0], ["nothing is known about escapes", "no image"]),
    ],
)
def test_render_escapes_says_what_a_proof_takes(
    predicted: list[int], label: list[int], texts: list[str]
) -> None:
    page = Page(render(report(measured(predicted, label, ["good", "crack"], ["good"]))))
    assert all(text in page.text for text in texts)


def test_render_errors_are_shown_in_the_given_order() -> None:
    errors = [wrong(path=f"{number:02d}.jpg") for number in range(MOST_ERRORS)]
    evaluation = measured([1] * 30 + [0], [0] * 31, ["good", "crack"])
    text = Page(render(report(evaluation, errors=errors))).text
    assert re.findall(r"\d\d\.jpg", text) == [error.path for error in errors]
    assert "24 of 30 wrong images" in text


def test_render_large_image_is_shrunk_and_keeps_its_shape() -> None:
    large = np.zeros((300, 1200, 3), dtype=np.uint8)
    source = Page(render(report(errors=[wrong(image=large)]))).sources()[0]
    thumbnail = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
    assert thumbnail.size == (256, 64)


def test_render_confusion_puts_true_in_rows() -> None:
    evaluation = measured([1] * 7 + [0] * 3, [0] * 10, ["good", "crack"])
    cells = re.findall(r'<td class="(right|wrong)[^>]*>(\d+)</td>', render(report(evaluation)))
    assert cells == [("right", "3"), ("wrong", "7"), ("wrong", "0"), ("right", "0")]


def test_wording_every_key_is_used() -> None:
    room = Path(sys.modules["sihwa.reporting"].__file__ or "").parent
    files = [*room.glob("*.py"), *room.glob("templates/*.j2")]
    source = "".join(one.read_text("utf-8") for one in files if one.name != "wording.py")
    composed = {f"{key}_note" for key in WORDS} | {f"corruption_{kind}" for kind in CORRUPTIONS}
    for key in WORDS.keys() - composed:
        assert re.search(rf"\b{key}\b", source), key


def test_reporting_import_needs_no_heavy_package() -> None:
    heavy = ("torch", "sklearn", "scipy", "hydra", "sihwa.evaluation")
    code = (
        "import sys, sihwa.reporting, sihwa.reporting.page; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_render_curves_are_drawn_one_line_each() -> None:
    page = Page(render(report(curves={"loss": [0.9, 0.5, 0.25], "rate": [0.5, math.nan, 0.75]})))
    lines = [one["points"] for tag, one in page.tags if tag == "polyline"]
    assert lines == ["0.0,0.0 100.0,61.5 200.0,100.0", "0.0,100.0 200.0,0.0"]
    assert "loss, last 0.25" in page.text
    assert "Training curves" in page.text
    assert "Training curves" not in render(report())
