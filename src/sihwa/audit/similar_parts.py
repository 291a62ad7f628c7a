"""Several images of one part: figures of a random split hold for photographs, not for parts."""

from collections.abc import Iterator

from sihwa.audit.finding import Finding
from sihwa.audit.inventory import Inventory
from sihwa.evaluation import KnownGroups, Similarity
from sihwa.reporting import JOIN_GROUPS, PARTIAL_REMEDY, group_settings
from sihwa.terminal.names import counted

_MOST_OF_ONE = 6


def find_similar_parts(inventory: Inventory, similarity: Similarity) -> Iterator[Finding]:
    """Yield what the check for similar images found; see docs/groups.md."""
    proposal, found = similarity.proposal, similarity.dependence
    yield from _partly_known(inventory, similarity.known)
    if proposal is not None:
        shown = [one[:_MOST_OF_ONE] for one in similarity.examples]
        joins = similarity.known.are_partial and not similarity.known.by_similarity
        alike = proposal.setting == "similar"
        yield Finding(
            kind="several images per part",
            severity="severe",
            message=f"{proposal.images} images look like {proposal.groups} "
            f"{'groups of one part each' if alike else 'parts'}, {_cut(inventory, similarity.cut)}",
            advice=f"Train with {group_settings(similarity)}"
            f"{f'. {JOIN_GROUPS}' if joins else f'. {PARTIAL_REMEDY}' if alike else ''}",
            figure=proposal.explained,
            images=inventory.mark_sets(shown, keep=_MOST_OF_ONE),
        )
    if found is not None and found.falls:
        before, after = found.accuracy[0], found.accuracy[-1]
        yield Finding(
            kind="figures rest on similar images",
            severity="warning",
            message=f"without the {found.left_out[-1]} most similar images in training, a linear "
            f"classifier falls from {100 * before:.1f} to {100 * after:.1f} % accuracy",
            advice="If several images show one part, name the parts with dataset.group",
            figure=before - after,
        )


def _cut(inventory: Inventory, cut: int) -> str:
    if not cut:
        return "so a random split tests on parts that were trained on"
    splits = " and ".join(sorted(set(inventory.manifest.split.tolist())))
    return f"and the given splits ({splits}) divide {cut} of them: the test shows trained parts"


def _partly_known(inventory: Inventory, known: KnownGroups) -> Iterator[Finding]:
    if known.by_similarity:
        message = f"{counted(known.named, 'image')} are grouped by similarity alone"
        yield Finding(
            kind="groups may divide a part", severity="note", message=message, advice=PARTIAL_REMEDY
        )
    elif known.are_partial:
        rest = [row for row, group in enumerate(inventory.group) if not group]
        yield Finding(
            kind="images without a group",
            severity="note",
            message=f"{known.named} of {known.images} images have a group; each of the others "
            "counts as a part of its own",
            advice="If parts have several images, make dataset.group name those of all of them",
            figure=len(rest) / known.images,
            images=inventory.mark(rest),
        )
