"""A simulated study: how often small changes of an image turn the inspector's decision."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sihwa.errors import DatasetError, UnreadableImage
from sihwa.evaluation import Figure, group_index
from sihwa.evaluation.rates import Rates
from sihwa.images import batch_length, read_image
from sihwa.inspector import Inspector
from sihwa.inspector.image_list import none_readable
from sihwa.qualification.image_changes import CHANGES, change_image
from sihwa.scoring.path_pattern import PathPattern
from sihwa.terminal.names import printable
from sihwa.terminal.progress import progress_bar

_MOST_NAMED = 20


@dataclass(frozen=True, kw_only=True)
class ChangeFigures:
    """What one change does to decisions."""

    name: str
    stays: Figure
    """Share of images whose decision is the same in all trials."""
    flips: int
    """Trials in which the decision was another."""
    trials: int
    """All trials of all images."""


@dataclass(frozen=True, kw_only=True)
class FlippingImage:
    """An image whose decision small changes turn."""

    path: str
    decision: str
    """Without a change."""
    flips: dict[str, int]
    """Trials with another decision, per change."""


@dataclass(frozen=True, kw_only=True)
class Repeatability:
    """How repeatable the decisions of an inspector are."""

    inspector: str
    images: int
    trials: int
    """Trials of each change and image."""
    seed: int
    changes: tuple[ChangeFigures, ...]
    flipping: tuple[FlippingImage, ...]
    """The images that flip most, the worst first."""
    unreadable: tuple[str, ...]
    """The first images that cannot be read, with the reason."""
    unreadable_count: int


@dataclass(frozen=True)
class RepeatabilityOptions:
    """How to simulate."""

    trials: int = 5
    seed: int = 0
    part: PathPattern | None = None
    """Finds the part in a path: images of one part are no independent evidence."""
    confidence: float = 0.95


def measure_repeatability(
    inspector: Inspector, paths: Sequence[str], options: RepeatabilityOptions
) -> Repeatability:
    """Inspect each image again under small changes of light, focus and place.

    A seed gives each image its own draws, whatever the other images are.

    Raises:
        DatasetError: No image can be read, or one does not match the pattern of the part.
    """
    tried: list[_Tried] = []
    errors: list[UnreadableImage] = []
    with progress_bar("simulating", len(paths)) as advance:
        for path in paths:
            group = options.part(path) if options.part else None
            try:
                image = read_image(path, inspector.decoding)
            except UnreadableImage as error:
                errors.append(error)
            else:
                decision = inspector.predict(image)[0].decision.outcome
                flips = _flips(inspector, image, decision, options)
                tried.append(_Tried(path, group, decision, flips))
            advance(1)
    if not tried:
        raise DatasetError(none_readable(errors))
    return Repeatability(
        inspector=inspector.card.id,
        images=len(tried),
        trials=options.trials,
        seed=options.seed,
        changes=tuple(_figures(name, tried, options) for name in CHANGES),
        flipping=_worst(tried),
        unreadable=tuple(printable(str(one)) for one in errors[:_MOST_NAMED]),
        unreadable_count=len(errors),
    )


class _Tried(NamedTuple):
    """One image, and how often each change turned its decision."""

    path: str
    group: str | None
    decision: str
    flips: dict[str, int]


def _flips(
    inspector: Inspector, image: NDArray[np.uint8], decision: str, options: RepeatabilityOptions
) -> dict[str, int]:
    """Return for each change in how many trials the decision is another."""
    step = batch_length(image.nbytes)
    content = zlib.crc32(image.tobytes())
    flips = dict.fromkeys(CHANGES, 0)
    for place, name in enumerate(CHANGES):
        # by content, so that an image keeps its draws when others come, go or are renamed
        rng = np.random.default_rng([options.seed, place, content])
        for start in range(0, options.trials, step):
            some = range(start, min(start + step, options.trials))
            batch = np.stack([change_image(image, name, rng) for _ in some])
            found = inspector.predict_batch(batch)
            flips[name] += sum(one.decision.outcome != decision for one in found)
    return flips


def _figures(name: str, tried: Sequence[_Tried], options: RepeatabilityOptions) -> ChangeFigures:
    flips = np.array([one.flips[name] for one in tried])
    group = group_index([one.group for one in tried]) if options.part else None
    rates = Rates(group, options.confidence)
    return ChangeFigures(
        name=name,
        stays=rates.figure(flips == 0, np.ones(len(tried), bool), "no image"),
        flips=int(flips.sum()),
        trials=len(tried) * options.trials,
    )


def _worst(tried: Sequence[_Tried]) -> tuple[FlippingImage, ...]:
    order = sorted(tried, key=lambda one: (-sum(one.flips.values()), one.path))
    return tuple(
        FlippingImage(path=printable(one.path), decision=one.decision, flips=one.flips)
        for one in order[:_MOST_NAMED]
        if any(one.flips.values())
    )
