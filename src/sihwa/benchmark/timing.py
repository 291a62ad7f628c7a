"""Timing one variant: one image at a time from file to decision, the model alone, batches.

Every call counts: nothing is discarded, clipped or averaged. Times are whole nanoseconds of a
monotonic clock. The next image is always another one, so that no cache holds the last.

Axes: N images, H and W image size in pixels.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sihwa.images import Decoding, decode_image, read_bytes
from sihwa.inspector import Inspector

Stage = Literal["read", "decode", "infer", "decide"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""From file to decision. Preprocessing is part of the graph, so it is in `infer`."""

Timed = Stage | Literal["model", "device_part", "overhead"]
"""`model` is the runtime alone, `device_part` the work of a GPU by its own events, and `overhead`
timing itself."""

POOL_BYTES = 128 * 2**20
"""Of decoded images for the model alone: far more than a processor's caches hold."""

Clock = Callable[[], int]
Images = NDArray[np.uint8]


class Timer:
    """A loaded inspector and readable image files to time it on, one after the other."""

    def __init__(
        self, inspector: Inspector, paths: Sequence[str], clock: Clock = time.perf_counter_ns
    ) -> None:
        self._inspector = inspector
        self._clock = clock
        self._paths = itertools.cycle(paths)
        self._images = _decode(paths, inspector.decoding)
        self._rotation = itertools.cycle(self._images)
        self.kept_bytes = sum(image.nbytes for image in self._images)
        """Most memory that images for timing have taken so far."""

    def time_files(self, count: int) -> dict[Stage, list[int]]:
        """Return the ns of each stage for `count` images, one by one from file to decision."""
        run, interpret = self._inspector.runtime.run, self._inspector.interpret
        return self._time_stages(count, read_bytes, decode_image, run, interpret)

    def time_model(self, count: int) -> list[int]:
        """Return the ns of `count` calls of the runtime with one decoded image each.

        Results are in the memory of the CPU, so on a GPU, too, a call ends when the work is done.
        """
        clock, runtime = self._clock, self._inspector.runtime
        spans = []
        for image in itertools.islice(self._rotation, count):
            began = clock()
            runtime.run(image)
            spans.append(clock() - began)
        return spans

    def time_device(self, count: int) -> list[int] | None:
        """Return the ns that a GPU itself worked, by its own events; None without any."""
        device_ns = getattr(self._inspector.runtime, "device_ns", None)
        if device_ns is None:
            return None
        spans = [device_ns(image) for image in itertools.islice(self._rotation, count)]
        return None if None in spans else spans

    def time_batches(self, size: int, seconds: float) -> dict[str, int]:
        """Run batches for some seconds, at least one; return how many images and in what ns.

        One batch comes before, untimed: runtimes compile and allocate at the first of a size.
        """
        runtime, clock = self._inspector.runtime, self._clock
        stacked = _stack(self._images, size)
        self.kept_bytes = max(self.kept_bytes, sum(x.nbytes for x in (*self._images, *stacked)))
        batches = itertools.cycle(stacked)
        runtime.run(next(batches))
        began, done, passed = clock(), 0, 0
        while not done or passed < seconds * 1e9:
            runtime.run(next(batches))
            done += size
            passed = clock() - began
        return {"images": done, "ns": passed}

    def time_overhead(self, count: int) -> list[int]:
        """Return the ns per image of timing itself: clock and loop, which are in every figure."""
        blank = self._images[0][0]
        stages = self._time_stages(
            count, lambda _: b"", lambda *_: blank, lambda _: None, lambda *_: None
        )
        return [sum(spans) for spans in zip(*stages.values(), strict=True)]

    def _time_stages(
        self,
        count: int,
        read: Callable[[str], bytes],
        decode: Callable[[bytes, str, Decoding], Images],
        run: Callable[[Images], Any],
        interpret: Callable[[Any, int, int], object],
    ) -> dict[Stage, list[int]]:
        clock, decoding = self._clock, self._inspector.decoding
        stamps = []
        for path in itertools.islice(self._paths, count):
            began = clock()
            content = read(path)
            have_bytes = clock()
            image = decode(content, path, decoding)
            have_pixels = clock()
            outputs = run(np.stack([image]))  # as an inspector does
            have_outputs = clock()
            interpret(outputs, image.shape[0], image.shape[1])
            stamps.append((began, have_bytes, have_pixels, have_outputs, clock()))
        spans = np.diff(np.array(stamps, np.int64), axis=1)
        return {stage: spans[:, place].tolist() for place, stage in enumerate(STAGES)}


def _decode(paths: Sequence[str], decoding: Decoding) -> list[Images]:
    """Return images (1, H, W, 3) of different files, at least one, up to `POOL_BYTES`."""
    images: list[Images] = []
    size = 0
    for path in dict.fromkeys(paths):
        image = np.stack([decode_image(read_bytes(path), path, decoding)])
        size += image.nbytes
        if images and size > POOL_BYTES:
            break
        images.append(image)
    return images


def _stack(images: Sequence[Images], size: int) -> list[Images]:
    """Return batches (N, H, W, 3) of images of the most common size, up to `POOL_BYTES`."""
    by_shape: dict[tuple[int, ...], list[Images]] = {}
    for image in images:
        by_shape.setdefault(image.shape, []).append(image)
    same = max(by_shape.values(), key=len)
    count = min(-(-len(same) // size), max(1, POOL_BYTES // (size * same[0].nbytes)))
    turn = itertools.cycle(same)
    return [np.concatenate(list(itertools.islice(turn, size))) for _ in range(count)]
