"""Names that come from outside: how they are shown, and which ones a class may have."""

import os
import re
import unicodedata

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def printable(text: str) -> str:
    r"""Return a text with control characters and undecodable bytes escaped.

    >>> printable("부품\n\x1b[2J\udcff.png")
    '부품\\n\\x1b[2J\\xff.png'
    """
    return "".join(map(_shown, text))


def _shown(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # Python's code for a byte that is not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    if letter.isprintable() or unicodedata.category(letter) == "Zs":
        return letter
    return letter.encode("unicode_escape").decode()


def counted(count: int, noun: str) -> str:
    """Return a number and a noun.

    >>> counted(1, "image"), counted(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def text_of_name(name: str) -> tuple[str, str | None]:
    r"""Return a name as valid Unicode, and its bytes in hex if they were not valid UTF-8.

    >>> text_of_name("\udcff.png")
    ('\\xff.png', 'ff2e706e67')
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raw = os.fsencode(name)
        return raw.decode(errors="backslashreplace"), raw.hex()
    return name, None


def name_of_text(text: str, raw: str | None) -> str:
    """Return the name that `text_of_name` made a text of; ValueError if `raw` is not hex."""
    return text if raw is None else os.fsdecode(bytes.fromhex(raw))


def class_name_fault(name: str) -> str | None:
    r"""Return what is wrong with a class name, or None.

    Two names must not look alike, and a name must not control a terminal or a spreadsheet.

    >>> class_name_fault("긁힘")
    >>> class_name_fault("scratch\n")
    'holds the control character U+000A'
    >>> class_name_fault("-1")
    >>> class_name_fault("=1")
    'begins with =, so a spreadsheet would run it'
    """
    for letter in name:
        if (
            unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")
            or unicodedata.bidirectional(letter) in _BIDI_CONTROLS
        ):
            return f"holds the control character U+{ord(letter):04X}"
    if not name or name.strip() != name:
        return "must be letters without spaces around them"
    if unicodedata.normalize("NFC", name) != name:
        return "must be in Unicode form NFC"
    if name[0] in "=+-@＝＋－＠" and not _NUMBER.fullmatch(name):
        return f"begins with {name[0]}, so a spreadsheet would run it"
    return None
