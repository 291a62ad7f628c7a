"""Near-identical images: saved again, resized, brightened, shifted, cropped, photographed again.

Each image is compared as a small grey thumbnail, in three steps. Contrast is evened out, so light
does not count. The magnitudes of the Fourier spectrum, which a shift does not change, name a few
candidates. Each is registered: the match is the highest correlation over small shifts, of spectra
divided by the mean spectrum of the data set, so that what all images share does not count.

The score says how far a match stands out: 0 is the usual match of the two images with their other
candidates, 1 is identity. Cells of one type resemble each other, but a copy stands out.

Axes: N images, S pixels, F frequencies, C candidates, P pairs.

Source: Kuglin and Hines 1975, The phase correlation image alignment method, for the registration.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage
from scipy.signal import windows

from sihwa.errors import ShapeError
from sihwa.images import map_with_progress

THUMBNAIL = 96
"""Pixels along each side of a thumbnail."""
COPY_SCORE = 0.65
"""Least score of a near-identical pair. Chosen on planted copies: benchmarks/near_copies.py."""
SIMILAR_SCORE = 0.3
"""Least score of two images that probably show one part; likewise."""

_SCALES = (1.0, 0.95)
"""An image is also compared shrunk, to find those that were cropped and scaled back."""
_CANDIDATES, _FIRST = 24, 6
"""The rest of the candidates is registered only if one of the likeliest ones matches at all."""
_USUAL = 8
"""The usual match is the median over all candidates but this many best ones."""
_FEWEST = 6
_LEAST_MATCH = 0.4
_SHARE_OF_BEST = 0.9
_COPIES_APART, _SIMILAR_APART = 2.0, 1.25
"""How much farther than its images from each other (1 - score) a group is from all others."""
_MOST = 32
_BLOCK, _REGISTERED_AT_ONCE = 256, 16
_SAMPLE = 2000
"""Images of which the mean spectrum is taken."""
_CONTRAST_SIZE = 13
_LOWEST, _HIGHEST, _HIGHEST_OF_DESCRIPTOR = 2, 28, 12
_LARGEST_SHIFT = 7.0

_ROW = np.r_[0 : _HIGHEST + 1, -_HIGHEST:0]
_COLUMN = np.arange(_HIGHEST + 1)
_RADIUS = np.hypot(_ROW[:, None], _COLUMN)
_IN_BAND = (_RADIUS >= _LOWEST) & (_RADIUS <= _HIGHEST)
_DESCRIBED = (
    (_RADIUS >= 1)
    & (_RADIUS <= _HIGHEST_OF_DESCRIPTOR)
    & ((_COLUMN > 0) | (_ROW[:, None] > 0))  # the other half is its mirror image
)
_COUNTED = np.where(_COLUMN == 0, 1, 2).astype(np.float32)
"""How often a column of the half spectrum stands in the whole."""
_SHIFT = np.arange(-_LARGEST_SHIFT, _LARGEST_SHIFT + 0.5, 0.5)
_SHIFT_ROWS = np.exp(2j * np.pi * _SHIFT[:, None] * _ROW / THUMBNAIL).astype(np.complex64)
_SHIFT_COLUMNS = np.exp(2j * np.pi * _COLUMN[:, None] * _SHIFT / THUMBNAIL).astype(np.complex64)
_TAPER = windows.tukey(THUMBNAIL, 0.4).astype(np.float32)
_WINDOW = _TAPER[:, None] * _TAPER


class NearCopies(NamedTuple):
    """Pairs of images that match."""

    pairs: NDArray[np.intp]
    """Rows of the two images, (P, 2), the smaller first, in ascending order."""
    score: NDArray[np.float32]
    """How far each match stands out, (P,), in (0, 1]; 1 is identity."""


def make_thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the thumbnail of an image (H, W, 3), uint8: (96, 96), each pixel an area mean.

    It shows the green channel, which carries most of the light and costs no conversion.
    """
    # enlarged by areas, a small image would show its own pixels as blocks
    is_small = min(image.shape[:2]) < THUMBNAIL
    method = Image.Resampling.BILINEAR if is_small else Image.Resampling.BOX
    green = Image.fromarray(np.ascontiguousarray(image[..., 1]))
    return np.asarray(green.resize((THUMBNAIL, THUMBNAIL), method, reducing_gap=2.0))


def find_near_copies(thumbnail: NDArray[np.uint8], *, least: float = COPY_SCORE) -> NearCopies:
    """Return all pairs of near-identical images.

    An image with more than 16 copies may be missed: their match would be the usual one. Fewer
    than 6 images give no pair, because there is too little to compare with.

    Args:
        thumbnail: Of images of different content, (N, 96, 96), uint8; see `make_thumbnail`.
        least: Least score of a pair, in (0, 1].

    Raises:
        ShapeError: The thumbnails have another shape or type.
    """
    if thumbnail.shape[1:] != (THUMBNAIL, THUMBNAIL) or thumbnail.dtype != np.uint8:
        raise ShapeError(
            f"expected thumbnails (N, {THUMBNAIL}, {THUMBNAIL}) of uint8, got "
            f"{thumbnail.shape} of {thumbnail.dtype}"
        )
    if len(thumbnail) < _FEWEST:
        return NearCopies(np.empty((0, 2), np.intp), np.empty(0, np.float32))
    reference = _Reference.of(thumbnail)
    tasks = [(scale, rows) for scale in _SCALES for rows, _ in _blocks(thumbnail)]
    registered = map_with_progress(
        "comparing", lambda task: _register(thumbnail, reference, *task), tasks
    )
    others, match = (
        np.concatenate(one).reshape(len(_SCALES), len(thumbnail), -1)
        for one in zip(*registered, strict=True)
    )
    best = -np.sort(-match[0], axis=1)
    usual = np.median(best[:, min(_USUAL, best.shape[1] // 2) :], axis=1)
    typical = np.maximum(usual[:, None], usual[others])
    score = (match - typical) / np.maximum(1 - typical, 1e-6)
    found = (score >= least) & (match >= _LEAST_MATCH)
    pairs = np.stack([np.nonzero(found)[1], others[found]], axis=1)
    return _best_of_each(np.sort(pairs, axis=1), np.minimum(score[found], 1).astype(np.float32))


def near_copy_groups(found: NearCopies, count: int) -> NDArray[np.intp]:
    """Return the group of near-identical copies of each image, (N,): the smallest row in it.

    Pairs are joined from the best match down. Two groups that would have more than 32 images
    together are not joined, so a chain of pairs cannot join a whole class. A group must stand
    apart: equal parts turned by every angle match their neighbours, but each of those matches the
    next one nearly as well.

    Args:
        found: With all pairs from SIMILAR_SCORE up, to see what stands apart.
        count: Images, N.

    >>> pairs = NearCopies(np.array([[0, 2], [2, 3]]), np.array([0.9, 0.7], np.float32))
    >>> near_copy_groups(pairs, 4).tolist()
    [0, 1, 0, 0]
    """
    group = _joined_groups(found, count, found.score >= COPY_SCORE)
    return _standing_apart(group, found, _COPIES_APART)


def similar_groups(found: NearCopies, count: int) -> NDArray[np.intp]:
    """Return groups of images that probably show one part, (N,): the smallest row in each.

    As `near_copy_groups`, but weaker matches count, too, if they are nearly as good as the best of
    one of the two images: so exposures of a part are joined before parts that resemble it.
    """
    best = np.zeros(count, np.float32)
    for column in found.pairs.T:
        np.maximum.at(best, column, found.score)
    nearly_best = found.score >= _SHARE_OF_BEST * best[found.pairs].min(axis=1)
    group = _joined_groups(found, count, nearly_best & (found.score >= SIMILAR_SCORE))
    return _standing_apart(group, found, _SIMILAR_APART)


def _joined_groups(found: NearCopies, count: int, used: NDArray[np.bool_]) -> NDArray[np.intp]:
    group = np.arange(count)
    members = {row: [row] for row in range(count)}
    for place in np.lexsort((*found.pairs.T, -found.score)).tolist():
        one, other = sorted(group[found.pairs[place]].tolist())
        if used[place] and one != other and len(members[one]) + len(members[other]) <= _MOST:
            group[members[other]] = one
            members[one] += members.pop(other)
    return group


def _standing_apart(group: NDArray[np.intp], found: NearCopies, apart: float) -> NDArray[np.intp]:
    """Undo the groups that match an image outside nearly as well as their images each other."""
    one, other = group[found.pairs].T
    is_inside = one == other
    outside = np.zeros(len(group), np.float32)
    for ends in (one, other):
        np.maximum.at(outside, ends[~is_inside], found.score[~is_inside])
    size = np.bincount(group, minlength=len(group))
    total = np.bincount(one[is_inside], found.score[is_inside], len(group))
    inside = total / np.maximum(size * (size - 1) / 2, 1)  # a pair that was not found counts as 0
    is_undone = 1 - outside < apart * (1 - inside)
    return np.where(is_undone[group], np.arange(len(group)), group)


class _Reference(NamedTuple):
    """What images are compared with: all images, as they are."""

    power: NDArray[np.float32]
    """Mean of the squared magnitudes of spectra, (F, F)."""
    mean: NDArray[np.float32]
    """Of each coordinate of the logarithms of magnitudes, (D,)."""
    deviation: NDArray[np.float32]
    """Likewise, (D,)."""
    spectrum: NDArray[np.complex64]
    """Divided by the mean spectrum, of unit energy, (N, F, F)."""
    descriptor: NDArray[np.float32]
    """Unit vectors, (N, D)."""

    @classmethod
    def of(cls, thumbnail: NDArray[np.uint8]) -> "_Reference":
        power = _mean_power(thumbnail)
        blocks = list(_blocks(thumbnail))
        spectrum = np.concatenate([_whitened(_spectrum(block), power) for _, block in blocks])
        raw = np.concatenate([_log_magnitude(spectrum[rows]) for rows, _ in blocks])
        mean, deviation = raw.mean(axis=0), raw.std(axis=0) + 1e-6
        return cls(power, mean, deviation, spectrum, _unit((raw - mean) / deviation))

    def likeness(self, spectrum: NDArray[np.complex64]) -> NDArray[np.float32]:
        """Return the cosine of the descriptors of other spectra with all of these, (n, N)."""
        descriptor = _unit((_log_magnitude(spectrum) - self.mean) / self.deviation)
        return np.asarray(descriptor @ self.descriptor.T)


def _register(
    thumbnail: NDArray[np.uint8], reference: _Reference, scale: float, rows: slice
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the candidates of images shrunk by a scale, and their matches: (n, C) each."""
    spectrum = reference.spectrum[rows]
    if scale != 1:
        spectrum = _whitened(_spectrum(_shrunk(thumbnail[rows], scale)), reference.power)
    likeness = reference.likeness(spectrum)
    own = np.arange(len(spectrum))
    likeness[own, rows.start + own] = -np.inf
    count = min(_CANDIDATES, len(thumbnail) - 1)
    others = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(likeness, others, axis=1), axis=1)
    others = np.take_along_axis(others, order, axis=1)
    first = _match_each(spectrum, reference, others[:, :_FIRST])
    # most images are like no other; the rest of their candidates would add nothing
    match = np.repeat(first.mean(axis=1, keepdims=True), count, axis=1)
    match[:, :_FIRST] = first
    is_like_some = first.max(axis=1) >= _LEAST_MATCH
    match[is_like_some, _FIRST:] = _match_each(
        spectrum[is_like_some], reference, others[is_like_some, _FIRST:]
    )
    return others, match


def _match_each(
    spectrum: NDArray[np.complex64], reference: _Reference, others: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return the match of each spectrum with the images named beside it: (n, C)."""
    match = np.empty(others.shape, np.float32)
    for start in range(0, len(spectrum), _REGISTERED_AT_ONCE):
        some = slice(start, start + _REGISTERED_AT_ONCE)
        match[some] = _match(spectrum[some, None], reference.spectrum[others[some]])
    return match


def _match(one: NDArray[np.complex64], other: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return the highest correlation over shifts of up to 7 pixels, by half pixels."""
    crossed = one * other.conj() * _COUNTED
    correlation = (_SHIFT_ROWS @ crossed @ _SHIFT_COLUMNS).real
    return np.asarray(correlation.max(axis=(-2, -1)), np.float32)


def _mean_power(thumbnail: NDArray[np.uint8]) -> NDArray[np.float32]:
    sample = thumbnail[:: -(-len(thumbnail) // _SAMPLE)]
    total = sum((np.abs(_spectrum(block)) ** 2).sum(axis=0) for _, block in _blocks(sample))
    power = np.asarray(total / len(sample), np.float32)
    return np.asarray(np.maximum(power, 1e-6 * power.max() + 1e-12))


def _spectrum(thumbnail: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.complex64]:
    """Return the lower frequencies of images of even contrast, (n, F, F)."""
    pixels = thumbnail.astype(np.float32)
    size = (0, _CONTRAST_SIZE, _CONTRAST_SIZE)
    pixels -= ndimage.uniform_filter(pixels, size)
    contrast = np.sqrt(np.maximum(ndimage.uniform_filter(pixels**2, size), 0))
    pixels /= contrast + 1 + 0.1 * contrast.mean(axis=(1, 2), keepdims=True)
    pixels -= (pixels * _WINDOW).sum(axis=(1, 2), keepdims=True) / _WINDOW.sum()
    whole = fft.rfft2(pixels * _WINDOW, axes=(1, 2))
    return np.asarray(whole[:, _ROW[:, None], _COLUMN], np.complex64)


def _whitened(spectrum: NDArray[np.complex64], power: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Divide spectra by the mean magnitude; energy 1, or 0 for an image without contrast."""
    white = spectrum * (_IN_BAND / np.sqrt(power))
    energy = (np.abs(white) ** 2 * _COUNTED).sum(axis=(1, 2), keepdims=True)
    return np.asarray(white / np.sqrt(np.maximum(energy, 1e-6)), np.complex64)


def _log_magnitude(spectrum: NDArray[np.complex64]) -> NDArray[np.float32]:
    return np.asarray(np.log(np.abs(spectrum[:, _DESCRIBED]) ** 2 + 1e-7), np.float32)


def _shrunk(thumbnail: NDArray[np.uint8], scale: float) -> NDArray[np.float32]:
    """Return images shrunk about their middle, the border repeated."""
    middle = (THUMBNAIL - 1) / 2
    place = np.clip((np.arange(THUMBNAIL) - middle) / scale + middle, 0, THUMBNAIL - 1)
    lower = np.minimum(place.astype(int), THUMBNAIL - 2)
    part = (place - lower).astype(np.float32)
    tall = thumbnail[:, lower] * (1 - part[:, None]) + thumbnail[:, lower + 1] * part[:, None]
    return np.asarray(tall[:, :, lower] * (1 - part) + tall[:, :, lower + 1] * part)


def _blocks(thumbnail: NDArray[np.uint8]) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    for start in range(0, len(thumbnail), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(thumbnail)))
        yield rows, thumbnail[rows]


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-6))


def _best_of_each(pairs: NDArray[np.intp], score: NDArray[np.float32]) -> NearCopies:
    """Return each pair once, with its best score."""
    order = np.lexsort((-score, pairs[:, 1], pairs[:, 0]))
    unique, first = np.unique(pairs[order], axis=0, return_index=True)
    return NearCopies(unique, score[order][first])
