"""Patterns that find a part, a view, a trial or a lot in the path of an image."""

import re

from sihwa.errors import ConfigError, DatasetError


class PathPattern:
    r"""A regular expression; what its groups capture counts, or all that it finds without one.

    Several groups are joined by `/`. A group named `view` is no part of the name.

    >>> PathPattern("--part", r"part(\d+)")("line 1/part07_2.png")
    '07'
    >>> PathPattern("--part", r"(p\d+)_(?P<view>\w+)[.]").find("p7_top.png")
    ('p7', 'top')

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

    def find(self, path: str) -> tuple[str | None, str | None]:
        """Return the name and the view in a path; None for what is not found."""
        found = self._pattern.search(path.replace("\\", "/"))
        if found is None:
            return None, None
        view = self._pattern.groupindex.get("view")
        named = [text or "" for place, text in enumerate(found.groups(), 1) if place != view]
        name = "/".join(named) if named else found[0]
        return name.strip("/") or None, (found["view"] or None) if view else None

    def __call__(self, path: str) -> str:
        """Return the name in a path; DatasetError if there is none."""
        name, _ = self.find(path)
        if name is None:
            raise DatasetError(f"{self._option} {self._pattern.pattern}: not found in {path}")
        return name
