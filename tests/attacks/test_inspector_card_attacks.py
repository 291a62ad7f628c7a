"""Hostile cards: all hashes fit, so only the rules of the card can refuse them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sihwa.inspector.card import FORMAT_VERSION
from sihwa.inspector.strict_json import MAX_CARD_BYTES
from tests.attacks.forge import Json, forge, forge_text, put, refuse


def drop(*path: str) -> Callable[[Json], None]:
    def change(card: Json) -> None:
        for key in path[:-1]:
            card = card[key]
        del card[path[-1]]

    return change


def names(*classes: object) -> Callable[[Json], None]:
    return put("classes", to=["good", "scratch", *classes])


CARDS: dict[str, tuple[Callable[[Json], Any], str]] = {
    "format_missing": (drop("format"), "expected a card with format 'sihwa-inspector'"),
    "format_foreign": (put("format", to="pickle"), "expected a card with format"),
    "version_newer": (
        put("format_version", to=FORMAT_VERSION + 1),
        "version 4 is newer than this program reads .*pip install --upgrade sihwa",
    ),
    "version_older": (put("format_version", to=1), "version 1 is older .*Export the inspector"),
    "version_missing": (drop("format_version"), "expected format_version 3, got None"),
    "version_a_text": (put("format_version", to="2"), "expected format_version 3, got '2'"),
    "version_true": (put("format_version", to=True), "expected format_version 3, got True"),
    "classes_missing": (drop("classes"), "missing required field `classes`"),
    "classes_one": (put("classes", to=["good"]), r"length >= 2 - at `\$.classes`"),
    "classes_a_text": (put("classes", to="good"), r"got `str` - at `\$.classes`"),
    "classes_beyond_count": (put("classes", to=["a"] * 10**5), r"length <= 10000 .*\$.classes"),
    "class_twice": (names("good"), "'classes' has a name twice"),
    "class_without_name": (names(""), r"length >= 1 - at `\$.classes\[2\]`"),
    "class_with_long_name": (names("x" * 1000), r"length <= 255 - at `\$.classes\[2\]`"),
    "class_a_number": (names(3), r"got `int` - at `\$.classes\[2\]`"),
    "class_decomposed": (names("e\u0301"), "Unicode form NFC"),
    "class_padded": (names(" good"), "without spaces around"),
    "class_turns_text_around": (names("go\u202edoog"), r"control character U\+202E"),
    "class_with_null": (names("a\0b"), r"control character U\+0000"),
    "class_with_escape": (names("\x1b[2Jb"), r"control character U\+001B"),
    "class_with_line_separator": (names("a\u2028b"), r"control character U\+2028"),
    "classes_more_than_outputs": (
        names("얼룩", "dent"),
        r"probability must be float32 \(free, 4\).* float32 \(free, 3\)",
    ),
    "accept_class_unknown": (
        put("accept_classes", to=["perfect"]),
        r"'accept_classes': \['perfect'\] are not classes",
    ),
    "accept_class_twice": (put("accept_classes", to=["good", "good"]), "has a name twice"),
    "policy_unknown": (put("policy", "kind", to="exec"), "'exec' - at `.*policy.kind`"),
    "policy_infinite": (put("policy", "unknown_threshold", to=float("inf")), "not JSON"),
    "policy_negative": (put("policy", "unknown_threshold", to=-1), ">= 0.0 .*unknown_threshold"),
    "temperature_nan": (put("temperature", to=float("nan")), "not JSON"),
    "temperature_zero": (put("temperature", to=0.0), "> 0.0 - at `.*temperature"),
    "temperature_a_text": (put("temperature", to="1.0"), "got `str` - at `.*temperature"),
    "width_of_another_network": (
        put("network", "embedding_width", to=255),
        r"embedding must be float32 \(free, 255\).* \(free, 256\)",
    ),
    "width_huge": (put("network", "embedding_width", to=10**4000), "`int` <= 1000000"),
    "width_a_fraction": (put("network", "embedding_width", to=3.0), "got `float`"),
    "input_size_huge": (put("network", "input_size", to=10**9), "<= 8192 .*network.input_size"),
    "input_smaller_than_its_map": (put("network", "input_size", to=1), "at most 1 × 1"),
    "graph_length_huge": (put("graph", "bytes", to=2**80), "<= 2147483647 - at `.*graph.bytes"),
    "graph_hash_of_another": (put("graph", "sha256", to="0" * 64), "SHA-256 is not the card's"),
    "graph_hash_with_line_break": (put("graph", "sha256", to="0" * 64 + "\n"), "graph.sha256"),
    "opset_of_another": (put("graph", "opset", to=17), "has opset 18, its card says 17"),
    "key_unknown": (put("pickle", to="gASVAAAA"), "unknown field `pickle`"),
    "key_with_line_break": (put("a\n\x1b[2J" + "x" * 500, to=1), r"unknown field `a \?\[2Jxx"),
    "white_not_above_black": (put("white", to=[5.0, 5.0]), "'white': .* do not ascend"),
    "white_a_number": (put("white", to=4095), r"got `int` - at `\$.white`"),
    "proof_with_a_path": (put("proof", to=[{"worst_path": "/home"}]), r"at `\$.proof\[0\]`"),
}


@pytest.mark.parametrize(("change", "reason"), CARDS.values(), ids=list(CARDS))
def test_load_inspector_hostile_card_is_refused(
    tiny_bundle: Path, change: Callable[[Json], Any], reason: str
) -> None:
    forge(tiny_bundle, change=change)
    refuse(tiny_bundle, reason, "inspector.onnx")


TEXTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "not JSON"),
    "not_json": (lambda _: b"classes: good", "not JSON"),
    "truncated": (lambda text: text[:-9], "not JSON"),
    "no_object": (lambda _: b"[1]", "not JSON: Expected `object`, got `array`"),
    "not_utf8": (lambda text: text.replace(b"scratch", b"scr\xe4tch"), "not UTF-8|not JSON"),
    "half_a_character": (lambda text: text.replace(b"scratch", b"\\ud800"), "not JSON"),
    "with_byte_order_mark": (lambda text: b"\xef\xbb\xbf" + text, "not JSON"),
    "nested_very_deeply": (
        lambda text: text.replace(b'"seed":0', b'"seed":' + b"[" * 10**6 + b"]" * 10**6),
        "not JSON",
    ),
    "huge": (
        lambda text: b" " * MAX_CARD_BYTES + text,
        f"longer than {MAX_CARD_BYTES}|more than the {MAX_CARD_BYTES}",
    ),
    "number_huge": (lambda text: text.replace(b"0.5", b"9" * 10**5), "not JSON"),
    "number_infinite": (lambda text: text.replace(b"0.5", b"1e999"), "not JSON"),
    "number_nan": (lambda text: text.replace(b"0.5", b"NaN"), "not JSON"),
    "id_of_another": (
        lambda text: text.replace(b'"temperature":0.5', b'"temperature":0.6'),
        "the card was changed after it was written",
    ),
}


@pytest.mark.parametrize("beside", [False, True], ids=["in_graph", "card_json"])
@pytest.mark.parametrize(("change", "reason"), TEXTS.values(), ids=list(TEXTS))
def test_load_inspector_damaged_card_text_is_refused(
    tiny_bundle: Path, change: Callable[[bytes], bytes], reason: str, beside: bool
) -> None:
    if beside:
        path = tiny_bundle / "card.json"
        card = json.loads(path.read_bytes())
        text = json.dumps(card, ensure_ascii=False, separators=(",", ":"))
        path.write_bytes(change(text.encode()))
        reason += "|differs from the card in inspector.onnx"
        refuse(tiny_bundle, reason, "card.json")
    else:
        forge_text(tiny_bundle, change)
        refuse(tiny_bundle, reason, "inspector.onnx")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda t: t[:-1] + b',"temperature":0.5}', id="key_twice"),
        pytest.param(lambda t: t.replace(b"0.5", b"0.50"), id="number_in_another_spelling"),
        pytest.param(lambda t: t + b"\n", id="line_break"),
    ],
)
def test_load_inspector_card_not_canonical_is_refused(
    tiny_bundle: Path, change: Callable[[bytes], bytes]
) -> None:
    """Two programs could read such a card in two ways."""
    forge_text(tiny_bundle, change)
    refuse(tiny_bundle, "not canonical JSON", "inspector.onnx")
