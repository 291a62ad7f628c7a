"""What a class may be called, in a data set as in a card."""

import unicodedata

__all__ = ["class_name_fault"]

_BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def class_name_fault(name: str) -> str | None:
    r"""Say what is wrong with a class name, or None: it must not look like another, nor turn text.

    >>> class_name_fault("긁힘")
    >>> class_name_fault("scratch\n")
    'holds the control character U+000A'
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
    return None
