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
from sihwa.images.one_colour import is_one_colour
from sihwa.images.reading import Listing, find_images, identify_file, read_bytes, read_content
from sihwa.images.shrink import shrink
from sihwa.images.size_batches import BATCH, batch_length, batches_by_size
from sihwa.images.threads import map_with_progress
from sihwa.images.walk import IMAGE_SUFFIXES, Found, is_image_name, service_name, walk_folder
from sihwa.terminal.cores import available_cores, limited_threads

__all__ = [
    "ARCHIVE_SUFFIXES",
    "AS_STORED",
    "BATCH",
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
    "batch_length",
    "batches_by_size",
    "decode_image",
    "decode_pages",
    "decode_with_levels",
    "decoded_image",
    "find_images",
    "identify_file",
    "is_image_name",
    "is_one_colour",
    "limited_threads",
    "list_members",
    "map_with_progress",
    "page_address",
    "parse_white",
    "read_bytes",
    "read_content",
    "read_image",
    "read_levels",
    "service_name",
    "shrink",
    "split_member",
    "walk_folder",
]
