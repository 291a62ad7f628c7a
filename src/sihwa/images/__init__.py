"""Images: found in folders and archives, read, and decoded to uint8 RGB, the same everywhere."""

import numpy as np
from numpy.typing import NDArray

from sihwa.errors import UnreadableImage
from sihwa.images.archive import MEMBER_MARK, Member, list_members, split_member
from sihwa.images.cores import available_cores
from sihwa.images.decode import MAX_PAGES, MAX_PIXELS, Page, decode_image, decode_pages
from sihwa.images.source import (
    ARCHIVE_SUFFIXES,
    IMAGE_SUFFIXES,
    Content,
    Listing,
    find_images,
    identify_file,
    is_image_name,
    read_bytes,
    read_content,
)
from sihwa.images.walk import Found, walk_folder

__all__ = [
    "ARCHIVE_SUFFIXES",
    "IMAGE_SUFFIXES",
    "MAX_PAGES",
    "MAX_PIXELS",
    "MEMBER_MARK",
    "Content",
    "Found",
    "Listing",
    "Member",
    "Page",
    "available_cores",
    "decode_image",
    "decode_pages",
    "find_images",
    "identify_file",
    "is_image_name",
    "list_members",
    "page_address",
    "read_bytes",
    "read_content",
    "read_image",
    "split_member",
    "walk_folder",
]

_PAGE_MARK = "#page="


def page_address(path: str, page: int) -> str:
    """Return the address of one page of a TIFF, counted from 1.

    >>> page_address("scan.tif", 2)
    'scan.tif#page=2'
    """
    return f"{path}{_PAGE_MARK}{page}"


def read_image(path: str, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read and decode an image: (H, W, 3), uint8 RGB.

    Args:
        path: A file, `archive.zip!/member`, or one page of either, `file.tif#page=2`. A file
            that really has such a name comes first.
        max_pixels: Largest allowed H × W.

    Raises:
        UnreadableImage: It cannot be read or decoded; the reason is in a few words.
    """
    file, mark, number = path.rpartition(_PAGE_MARK)
    if not (mark and number.isdecimal()) or identify_file(path) is not None:
        return decode_image(read_bytes(path), path, max_pixels)
    for page in decode_pages(read_bytes(file), path, max_pixels):
        if page.number in (None, int(number)) and isinstance(page.image, UnreadableImage):
            raise page.image
        if page.number == int(number) and not isinstance(page.image, UnreadableImage):
            return page.image
    raise UnreadableImage(path, f"holds no page {number}")
