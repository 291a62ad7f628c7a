"""Images to run an inspector on: from the line, or those kept in its folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from sihwa.errors import DatasetError, UnreadableImage
from sihwa.images import ARCHIVE_SUFFIXES, IMAGE_SUFFIXES, find_images, is_image_name
from sihwa.inspector.bundle import IMAGES_NAME

T = TypeVar("T")


def list_images(inspector: Path, source: Path | None, usage: str) -> tuple[str, ...]:
    """Return the images in a folder, an archive or the inspector, at least one, by name.

    Args:
        inspector: The inspector folder, or its .onnx file.
        source: A folder, an archive or one image; None for those kept in the inspector.
        usage: The command with a folder of images, for the message if there are none.

    Raises:
        DatasetError: The source does not exist, cannot be listed, or holds no image.
        UnreadableImage: The archive cannot be opened.
    """
    if source is None:
        source = inspector / IMAGES_NAME
        if not source.is_file():
            raise DatasetError(f"{inspector} keeps no images. Give it some from the line: {usage}")
    expected = "expected a folder of images, a .zip, a .tar or one image"
    try:
        if not source.exists():
            raise DatasetError(f"{expected}, got {str(source)!r}, which is not there")
        if source.is_file() and source.suffix.lower() not in ARCHIVE_SUFFIXES:
            if not is_image_name(source.name):
                raise DatasetError(f"{expected}, got the file {str(source)!r}")
            return (str(source),)
        found = find_images(source)
    except OSError as error:
        place = error.filename or source
        raise DatasetError(f"{expected}, but {place} cannot be listed: {error.strerror}") from error
    if not found.images:
        raise DatasetError(
            f"{source}: no image found (it holds {found.others} other files); an image's name "
            f"ends in {', '.join(IMAGE_SUFFIXES)}"
        )
    return found.images


def as_on_the_line(listed: Sequence[T], source: Path | None) -> Sequence[T]:
    """Return the listed images that speed is measured on.

    The first half of the kept images (source None) are close calls, which may need a second pass:
    they are left out.
    """
    return listed if source is not None else listed[len(listed) // 2 :]


def spread(items: Sequence[T], limit: int) -> list[T]:
    """Return at most `limit` of them, taken evenly.

    >>> spread(["a", "b", "c", "d"], 2)
    ['a', 'c']
    """
    count = min(limit, len(items))
    return [items[place * len(items) // count] for place in range(count)]


def none_readable(errors: Sequence[UnreadableImage]) -> str:
    """Return the message for a source without a readable image, with the first reason."""
    others = f"none of {len(errors)} images can be read, the first of them: "
    return f"{others if len(errors) > 1 else 'the only image cannot be read: '}{errors[0]}"
