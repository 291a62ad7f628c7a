"""Hostile cards: all hashes fit, so only the rules of the card can refuse them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sihwa.inspector.card import FORMAT_VERSION, MAX_CARD_BYTES
from tests.attacks.forge import Json, forge, forge_text, refuse


def put(*path: str, to: object) -> Callable[[Json], None]:
    """Return a change that sets the value at a path of keys."""

    def change(card: Json) -> None:
        for key in path[:-1]:
            card = card[key]
        card[path[-1]] = to

    return change


def drop(*path: str) -> Callable[[Json], None]:
    def change(card: Json) -> None:
        for key in path[:-1]:
            card = card[key]
        del card[path[-1]]

    return change


def names(*classes: object) -> Callable[[Json], None]:
    return put("classes", to=["good", "scratch", *classes])


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


CARDS: dict[str, tuple[Callable[[Json], Any], str]] = {
    "format_missing": (drop("format"), "expected a card with format 'sihwa-inspector'"),
    "format_foreign": (put("format", to="pickle"), "expected a card with format"),
    "version_newer": (
        put("format_version", to=FORMAT_VERSION + 1),
        "format version 2 is newer than this program reads .*pip install --upgrade sihwa",
    ),
    "version_missing": (drop("format_version"), "'format_version' is a required property"),
    "version_a_text": (put("format_version", to="1"), "format_version.*1 was expected"),
    "version_true": (put("format_version", to=True), "format_version.*1 was expected"),
    "version_zero": (put("format_version", to=0), "format_version.*1 was expected"),
    "classes_missing": (drop("classes"), "'classes' is a required property"),
    "classes_empty": (put("classes", to=[]), r"'classes': \[\] "),
    "classes_one": (put("classes", to=["good"]), "'classes': .*too short"),
    "classes_a_text": (put("classes", to="good"), "'classes': 'good' is not of type 'array'"),
    "classes_of_many_kinds": (
        put("classes", to=["a", 1] * 5_000),
        "'classes.*type string|'string'",
    ),
    "classes_beyond_count": (
        put("classes", to=["a"] * 10**5),
        "'classes': expected maxItems 10000",
    ),
    "class_twice": (names("good"), "'classes': .*non-unique"),
    "class_without_name": (names(""), "'classes/2': '' "),
    "class_with_long_name": (names("x" * 1000), "'classes/2': expected maxLength 255"),
    "class_a_number": (names(3), "'classes/2': 3 is not of type 'string'"),
    "class_decomposed": (names("e\u0301"), "Unicode form NFC"),
    "class_padded": (names(" good"), "without spaces around"),
    "class_turns_text_around": (names("go\u202edoog"), r"control character U\+202E"),
    "class_isolates_text": (names("a\u2066b"), r"control character U\+2066"),
    "class_with_null": (names("a\0b"), r"control character U\+0000"),
    "class_with_escape": (names("\x1b[2Jb"), r"control character U\+001B"),
    "class_with_line_break": (names("a\nb"), r"control character U\+000A"),
    "class_with_line_separator": (names("a\u2028b"), r"control character U\+2028"),
    "class_half_a_character": (names("a\ud800"), "not strict JSON: .*surrogates"),
    "classes_more_than_outputs": (
        names("얼룩", "dent"),
        r"probability must be float32 \(free, 4\).* float32 \(free, 3\)",
    ),
    "classes_fewer_than_outputs": (names(), r"probability must be float32 \(free, 2\)"),
    "accept_class_unknown": (
        put("accept_classes", to=["perfect"]),
        r"'accept_classes': \['perfect'\] are not classes",
    ),
    "accept_class_twice": (put("accept_classes", to=["good", "good"]), "non-unique"),
    "policy_unknown": (put("policy", "kind", to="exec"), "'policy/kind': 'top_class' was expected"),
    "policy_infinite": (put("policy", "unknown_threshold", to=float("inf")), "Infinity is no JSON"),
    "policy_negative": (put("policy", "unknown_threshold", to=-1), "'policy/unknown_threshold'"),
    "temperature_nan": (put("temperature", to=float("nan")), "NaN is no JSON number"),
    "temperature_zero": (put("temperature", to=0), "'temperature': 0 is less than"),
    "temperature_a_text": (put("temperature", to="1.0"), "'temperature': '1.0' is not of type"),
    "width_of_another_network": (
        put("network", "embedding_width", to=255),
        r"embedding must be float32 \(free, 255\).* \(free, 256\)",
    ),
    "width_huge": (put("network", "embedding_width", to=10**4000), "a number has 4001 digits"),
    "width_a_fraction": (
        put("network", "embedding_width", to=3.0),
        "'network/embedding_width'",
    ),
    "input_size_huge": (put("network", "input_size", to=10**9), "'network/input_size'"),
    "input_smaller_than_its_map": (put("network", "input_size", to=1), "at most 1 × 1"),
    "graph_length_huge": (put("graph", "bytes", to=2**80), "a number has 25 digits"),
    "graph_hash_of_another": (put("graph", "sha256", to="0" * 64), "SHA-256 is not the card's"),
    "graph_hash_with_line_break": (put("graph", "sha256", to="0" * 64 + "\n"), "'graph/sha256'"),
    "opset_of_another": (put("graph", "opset", to=17), "the graph says opset 18, its card 17"),
    "key_unknown": (put("pickle", to="gASVAAAA"), "'pickle' was unexpected"),
    "key_with_line_break": (put("dataset", "count", to={"a\n\x1b": 1}), r"dataset/count/a\\n\\x1b"),
    "nested_deeply": (put("training", "seed", to=nested(40)), "nested more than 32 levels"),
}


@pytest.mark.parametrize(("change", "reason"), CARDS.values(), ids=list(CARDS))
def test_load_inspector_hostile_card_is_refused(
    tiny_bundle: Path, change: Callable[[Json], Any], reason: str
) -> None:
    forge(tiny_bundle, change=change)
    refuse(tiny_bundle, reason, "inspector.onnx")


TEXTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "not strict JSON"),
    "not_json": (lambda _: b"classes: good", "not strict JSON"),
    "truncated": (lambda text: text[:-9], "not strict JSON"),
    "no_object": (lambda _: b"[1]", r"expected a JSON object, got \[1\]"),
    "not_utf8": (lambda text: text.replace(b"scratch", b"scr\xe4tch"), "not UTF-8|'utf-8' codec"),
    "with_byte_order_mark": (lambda text: b"\xef\xbb\xbf" + text, "not strict JSON"),
    "nested_very_deeply": (lambda _: b"[" * 10**6, "not strict JSON"),
    "nested_in_a_key": (
        lambda text: text.replace(b'"seed":0', b'"seed":' + b"[" * 900 + b"]" * 900),
        "nested more than 32 levels",
    ),
    "huge": (
        lambda text: b" " * MAX_CARD_BYTES + text,
        f"longer than {MAX_CARD_BYTES}|more than the {MAX_CARD_BYTES}",
    ),
    "number_huge": (lambda text: text.replace(b"0.5", b"9" * 10**5), "not strict JSON"),
    "number_infinite": (lambda text: text.replace(b"0.5", b"1e999"), "not strict JSON"),
    "number_nan": (lambda text: text.replace(b"0.5", b"NaN"), "NaN is no JSON number"),
    "key_twice": (lambda text: text[:-1] + b',"classes":["a","b","c"]}', "a key comes twice"),
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
        reason += "|says something else than the card in inspector.onnx"
        refuse(tiny_bundle, reason, "card.json")
    else:
        forge_text(tiny_bundle, change)
        refuse(tiny_bundle, reason, "inspector.onnx")
