"""Patterns that find a part, a trial or a lot in the path of an image."""

import re

from sihwa.errors import ConfigError, DatasetError


class PathPattern:
    r"""A regular expression; what its first group finds counts, or all that it finds.

    >>> PathPattern("--part", r"part(\d+)")("line 1/part07_2.png")
    '07'

    Raises:
        ConfigError: It cannot be read.
    """

    def __init__(self, option: str, pattern: str) -> None:
        self._option = option
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise ConfigError(
                f"{option}: expected a regular expression such as part(\\d+), got {pattern!r}: "
                f"{error}"
            ) from error

    def __call__(self, path: str) -> str:
        """Return what is found in a path; DatasetError if nothing is."""
        found = self._pattern.search(path.replace("\\", "/"))
        text = found and (found[1] if self._pattern.groups else found[0])
        if not text:
            raise DatasetError(f"{self._option} {self._pattern.pattern}: not found in {path}")
        return text
