"""What the check for similar images found, in sentences for the page and the terminal."""

from typing import TYPE_CHECKING

from sihwa.reporting.figure_rows import percent

if TYPE_CHECKING:
    from sihwa.evaluation import Dependence, Similarity


def similarity_sentences(similarity: "Similarity") -> list[str]:
    """Return what the user should know, the warning first; empty for too few images."""
    found, proposal = similarity.dependence, similarity.proposal
    if found is None:
        return []
    sentences = [_dependence(found, similarity.warns)]
    if proposal and similarity.by_group:
        sentences.append(
            f"{proposal.images} images look like {proposal.groups} parts with several images each. "
            f"Without the other images of its part, {_change(similarity.by_group, 0, found)}. "
            f"Keep them together with 'dataset.group={proposal.setting}'"
        )
    elif found.falls and not found.by_group:
        sentences.append(
            "If several images show one part, name the parts with dataset.group; else the figures "
            "hold only for parts that look like those in training"
        )
    return sentences


def _dependence(found: "Dependence", warns: bool) -> str:
    most = found.left_out[-1]
    verb = (
        "The figures may not hold for other parts"
        if warns
        else "The figures do not rest on near neighbours"
    )
    return (
        f"{verb}: when the {most} most similar images are left out of training, "
        f"{_change(found, -1, found)} (a linear classifier, {found.images} images)"
    )


def _change(found: "Dependence", place: int, before: "Dependence") -> str:
    """Return 'accuracy falls from 96.00 % to 83.00 % and escapes rise from 6.00 % to 70.00 %'."""
    text = f"accuracy goes from {percent(before.accuracy[0])} to {percent(found.accuracy[place])}"
    if found.escapes and before.escapes:
        text += f" and escapes from {percent(before.escapes[0])} to {percent(found.escapes[place])}"
    return text
