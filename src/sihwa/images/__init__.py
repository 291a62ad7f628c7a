"""Images: found in folders and archives, read, and decoded to uint8 RGB, the same everywhere."""

from sihwa.images.archive import ARCHIVE_SUFFIXES, MEMBER_MARK, Member, list_members, split_member
from sihwa.images.budget import ByteBudget
from sihwa.images.decode import (
    AS_STORED,
    Page,
    decode_image,
    decode_pages,
    decode_with_levels,
    decoded_image,
    page_address,
    read_image,
    read_levels,
)
from sihwa.images.decoding import MAX_PIXELS, Decoding, parse_white
from sihwa.images.levels import SIXTEEN_BIT_WHITE, Levels
from sihwa.images.reading import Listing, find_images, identify_file, read_bytes, read_content
from sihwa.images.threads import available_cores, map_with_progress
from sihwa.images.walk import IMAGE_SUFFIXES, Found, is_image_name, service_name, walk_folder

__all__ = [
    "ARCHIVE_SUFFIXES",
    "AS_STORED",
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "MEMBER_MARK",
    "SIXTEEN_BIT_WHITE",
    "ByteBudget",
    "Decoding",
    "Found",
    "Levels",
    "Listing",
    "Member",
    "Page",
    "available_cores",
    "decode_image",
    "decode_pages",
    "decode_with_levels",
    "decoded_image",
    "find_images",
    "identify_file",
    "is_image_name",
    "list_members",
    "map_with_progress",
    "page_address",
    "parse_white",
    "read_bytes",
    "read_content",
    "read_image",
    "read_levels",
    "service_name",
    "split_member",
    "walk_folder",
]
