"""What the check for similar images found, in sentences for the page and the terminal."""

from typing import TYPE_CHECKING

from sihwa.reporting.figure_rows import percent

if TYPE_CHECKING:
    from sihwa.evaluation import Dependence, KnownGroups, Similarity

PARTIAL_REMEDY = (
    "dataset.group=similar is a partial remedy: similar images are kept together, but images of "
    "one part that differ more may still be in training and in the test. If a column or the names "
    "tell the part, use column:NAME or pattern:REGEX"
)
JOIN_GROUPS = (
    "This names the images that had no group; to keep the groups that there are, name both, as in "
    "pattern:ONE|OTHER"
)
_SMALL = 0.01


def similarity_sentences(similarity: "Similarity") -> list[str]:
    """Return what the user should know, the warning first; empty for too few images."""
    found, proposal = similarity.dependence, similarity.proposal
    sentences = _known(similarity.known)
    if found is None:
        return sentences
    sentences.append(_dependence(found, similarity))
    if proposal and similarity.by_group:
        looks = "look alike in" if proposal.setting == "similar" else "look like"
        units = "groups" if proposal.setting == "similar" else "parts with several images each"
        sentences.append(
            f"{proposal.images} images {looks} {proposal.groups} {units}. "
            f"Without the other images of its group, {_change(similarity.by_group, 0, found)}."
        )
        if similarity.cut:
            sentences.append(
                f"The given splits divide {similarity.cut} of these {units.partition(' ')[0]}, so "
                "they must be drawn anew."
            )
    elif found.falls and similarity.known.named == 0:
        sentences.append(
            "If several images show one part, name the parts with dataset.group. Otherwise the "
            "figures hold only for parts that look like those in training."
        )
    return [sentence.replace(" %", "\u00a0%") for sentence in sentences]


def proposed_setting(similarity: "Similarity") -> str | None:
    """Return the proposed groups as a setting that can be pasted into a shell."""
    if similarity.proposal is None:
        return None
    setting = f"Keep them together: {group_settings(similarity)}"
    if similarity.known.are_partial and not similarity.known.by_similarity:
        return f"{setting}. {JOIN_GROUPS}"
    return f"{setting}. {PARTIAL_REMEDY}" if similarity.proposal.setting == "similar" else setting


def group_settings(similarity: "Similarity") -> str:
    """Return the settings of the proposal as a shell takes them; there must be one."""
    assert similarity.proposal
    group = f'"dataset.group={similarity.proposal.setting}"'
    return f"{group} dataset.split.given=ignore" if similarity.cut else group


def _known(known: "KnownGroups") -> list[str]:
    """Return what groups leave open; empty for groups of all images, or of none."""
    if known.by_similarity:
        return [f"{PARTIAL_REMEDY}."]
    if known.are_partial:
        return [
            f"{known.named} of {known.images} images have a group; each of the others counts as "
            "a part of its own."
        ]
    return []


def _dependence(found: "Dependence", similarity: "Similarity") -> str:
    known = similarity.known
    is_named = known.named > 0 and not known.are_partial
    others = " of other groups" if is_named else ""
    judged = f"{found.images} images" + (" without a group" if found.of_some else "")
    return (
        f"{_verdict(found, similarity, is_named)}: when the {found.left_out[-1]} most similar "
        f"images{others} are left out of training, {_change(found, -1, found)} (a linear "
        f"classifier, {judged}, p = {found.p_value:.2g})."
    )


def _verdict(found: "Dependence", similarity: "Similarity", is_named: bool) -> str:
    if found.falls and is_named:
        return "The figures hold only for parts that look like those in training"
    if similarity.warns:
        return "The figures may not hold for other parts"
    if not found.learns:
        return (
            f"Nothing is known of similar images, as a linear classifier hardly beats chance "
            f"({percent(found.chance)})"
        )
    if found.fall >= _SMALL and found.is_certain:
        return "The figures rest on similar images a little"
    if found.fall >= _SMALL:
        return "Too few images tell whether the figures rest on similar images"
    if similarity.known.by_similarity:
        return "Of what similar images add, this was measured"
    return "The figures do not rest on similar images"


def _change(found: "Dependence", place: int, before: "Dependence") -> str:
    """Return 'accuracy goes from 96.00 % to 83.00 % and escapes from 6.00 % to 70.00 %'."""
    text = f"accuracy goes from {percent(before.accuracy[0])} to {percent(found.accuracy[place])}"
    if found.escapes and before.escapes:
        text += f" and escapes from {percent(before.escapes[0])} to {percent(found.escapes[place])}"
    return text
