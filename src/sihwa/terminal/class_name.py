"""What a class may be called, in a data set as in a card."""

import re
import unicodedata

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def class_name_fault(name: str) -> str | None:
    r"""Say what is wrong with a class name, or None: it must not look like another, nor turn text.

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
