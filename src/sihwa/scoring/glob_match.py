"""Which paths below a folder a glob names."""

import functools
import os
import re
from collections.abc import Sequence

from wcmatch import glob

_MAGIC = re.compile(r"[*?[]")


def has_magic(word: str) -> bool:
    """Return whether a word has a wildcard."""
    return _MAGIC.search(word) is not None


class Glob:
    """A glob below a folder; `**` is any number of folders, and a dot in front must be written.

    Args:
        steps: The parts of the glob from the folder on, such as `("line-?", "**", "*.png")`.

    >>> found = Glob(("line-?", "*.png"))
    >>> found.names("line-1/a.png"), found.covers("line-1/a.png/b"), found.leads_to("line-1")
    (True, True, True)
    """

    def __init__(self, steps: Sequence[str]) -> None:
        folders = ["/".join(steps[:count]) for count in range(1, len(steps))]
        self._named = glob.compile("/".join(steps), flags=glob.GLOBSTAR)
        self._above = glob.compile(folders, flags=glob.GLOBSTAR) if folders else None
        self._covers_folder = functools.lru_cache(1024)(self.covers)

    def names(self, path: str) -> bool:
        """Return whether the glob names a path, which is relative to its folder."""
        return bool(self._named.match(path))

    def covers(self, path: str) -> bool:
        """Return whether the glob names a path or a folder above it."""
        folder = os.path.dirname(path)  # noqa: PTH120 -- any bytes, and fast
        return bool(folder and self._covers_folder(folder)) or self.names(path)

    def leads_to(self, path: str) -> bool:
        """Return whether the glob may name something below a path."""
        return self._above is not None and bool(self._above.match(path))
