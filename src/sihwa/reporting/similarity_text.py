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
    sentences = [_dependence(found, similarity)]
    if proposal and similarity.by_group:
        sentences.append(
            f"{proposal.images} images look like {proposal.groups} parts with several images each. "
            f"Without the other images of its part, {_change(similarity.by_group, 0, found)}."
        )
    elif found.falls and not found.by_group:
        sentences.append(
            "If several images show one part, name the parts with dataset.group. Otherwise the "
            "figures hold only for parts that look like those in training."
        )
    return [sentence.replace(" %", "\u00a0%") for sentence in sentences]


def proposed_setting(similarity: "Similarity") -> str | None:
    """Return the proposed groups as a setting that can be pasted into a shell."""
    if similarity.proposal is None:
        return None
    return f'Keep them together: "dataset.group={similarity.proposal.setting}"'


def _dependence(found: "Dependence", similarity: "Similarity") -> str:
    verdict = "The figures do not rest on similar images"
    if similarity.warns:
        verdict = "The figures may not hold for other parts"
    if found.falls and found.by_group and similarity.proposal is None:
        verdict = "The figures hold only for parts that look like those in training"
    others = " of other groups" if found.by_group else ""
    return (
        f"{verdict}: when the {found.left_out[-1]} most similar images{others} are left out of "
        f"training, {_change(found, -1, found)} (a linear classifier, {found.images} images)."
    )


def _change(found: "Dependence", place: int, before: "Dependence") -> str:
    """Return 'accuracy goes from 96.00 % to 83.00 % and escapes from 6.00 % to 70.00 %'."""
    text = f"accuracy goes from {percent(before.accuracy[0])} to {percent(found.accuracy[place])}"
    if found.escapes and before.escapes:
        text += f" and escapes from {percent(before.escapes[0])} to {percent(found.escapes[place])}"
    return text
