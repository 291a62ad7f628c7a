"""Names that come from outside, shown on one line that no terminal obeys."""

import unicodedata


def printable(text: str) -> str:
    r"""Return a text with what cannot be shown in its place: bytes of no code, control characters.

    >>> printable("부품\n\x1b[2J\udcff.png")
    '부품\\n\\x1b[2J\\xff.png'
    """
    return "".join(map(_shown, text))


def _shown(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # Python's sign for a byte that is not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    if letter.isprintable() or unicodedata.category(letter) == "Zs":
        return letter
    return letter.encode("unicode_escape").decode()
