"""Images: found in folders and archives, read, and decoded to uint8 RGB, the same everywhere."""

from sihwa.images.archive import ARCHIVE_SUFFIXES, MEMBER_MARK, Member, list_members, split_member
from sihwa.images.decode import (
    MAX_PIXELS,
    Page,
    decode_image,
    decode_pages,
    page_address,
    read_image,
)
from sihwa.images.reading import Listing, find_images, identify_file, read_bytes, read_content
from sihwa.images.threads import available_cores, map_with_progress
from sihwa.images.walk import IMAGE_SUFFIXES, Found, is_image_name, walk_folder

__all__ = [
    "ARCHIVE_SUFFIXES",
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "MEMBER_MARK",
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
    "map_with_progress",
    "page_address",
    "read_bytes",
    "read_content",
    "read_image",
    "split_member",
    "walk_folder",
]
