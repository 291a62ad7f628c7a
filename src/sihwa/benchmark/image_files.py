"""The images that a benchmark runs on: real ones, as files on a disk."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from sihwa.errors import DatasetError, UnreadableImage
from sihwa.images import AS_STORED, Decoding, decode_image, read_bytes, split_member
from sihwa.inspector import IMAGES_NAME
from sihwa.inspector.image_list import as_on_the_line, list_images, none_readable, spread
from sihwa.inspector.strict_json import Facts
from sihwa.storage import writing
from sihwa.terminal.names import printable


class ImageSize(Facts, frozen=True):
    """How many images have one size, in pixels."""

    height: int
    width: int
    count: int


class ImageFacts(Facts, frozen=True):
    """The images in the results; `file_bytes` is of all files together."""

    source: str
    count: int
    sizes: list[ImageSize]
    file_bytes: int
    unreadable: list[str]

    @property
    def usual_size(self) -> ImageSize:
        """The most common size."""
        return max(self.sizes, key=lambda size: size.count)


@contextmanager
def prepared_images(
    inspector: Path, source: Path | None, limit: int, decoding: Decoding = AS_STORED
) -> Iterator[tuple[list[str], ImageFacts]]:
    """Yield paths of plain files, as on a line, and facts; archives go to a temporary folder.

    Images of the most common size come first. `limit` images at most are taken evenly from
    `source`; None means those kept in the inspector. They are decoded as the inspector's are.
    """
    usage = f"sihwa benchmark {inspector} --images FOLDER"
    chosen = spread(as_on_the_line(list_images(inspector, source, usage), source), limit)
    with writing(Path(gettempdir())):
        temporary = TemporaryDirectory()
    with temporary as folder:
        found: list[tuple[str, tuple[int, int]]] = []
        file_bytes, unreadable = 0, []
        for number, path in enumerate(chosen):
            try:
                content = read_bytes(path)
                height, width, _ = decode_image(content, path, decoding).shape
            except UnreadableImage as error:
                unreadable.append(error)
                continue
            file = path
            if split_member(path):
                unpacked = Path(folder, f"{number:06d}{Path(path).suffix}")
                file = str(unpacked)
                with writing(unpacked):
                    unpacked.write_bytes(content)
            found.append((file, (height, width)))
            file_bytes += len(content)
        if not found:
            raise DatasetError(none_readable(unreadable))
        # classes that lie side by side in a folder may be slower than others
        random.Random(0).shuffle(found)
        shapes = Counter(shape for _, shape in found)
        # where not all fit into memory, those that are timed without their files are usual ones
        paths = [path for path, _ in sorted(found, key=lambda one: -shapes[one[1]])]
        name = f"kept in the inspector ({IMAGES_NAME})" if source is None else source.name
        facts = ImageFacts(
            source=printable(name),
            count=len(paths),
            sizes=[ImageSize(*shape, count) for shape, count in sorted(shapes.items())],
            file_bytes=file_bytes,
            unreadable=[printable(str(error)) for error in unreadable],
        )
        yield paths, facts
