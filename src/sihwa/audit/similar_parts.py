"""Several images of one part: figures of a random split hold for photographs, not for parts."""

from collections.abc import Iterator

from sihwa.audit.finding import Finding
from sihwa.audit.inventory import Inventory
from sihwa.evaluation import Similarity

_MOST_OF_ONE = 6


def find_similar_parts(inventory: Inventory, similarity: Similarity) -> Iterator[Finding]:
    """Yield what the check for similar images found; see docs/groups.md."""
    proposal, found = similarity.proposal, similarity.dependence
    if proposal is not None:
        shown = [one[:_MOST_OF_ONE] for one in similarity.examples]
        yield Finding(
            kind="several images per part",
            severity="severe",
            message=f"{proposal.images} images look like {proposal.groups} parts, so a random "
            "split tests on parts that were trained on",
            advice=f'Train with "dataset.group={proposal.setting}"',
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
