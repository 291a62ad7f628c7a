"""README.md of an inspector folder: the card in words."""

import math
from typing import Any

from sihwa.inspector.card import Card
from sihwa.inspector.policy_facts import ThresholdFacts

_SPLITS = ("train", "calibration", "test")


def bundle_readme(card: Card, has_images: bool = False) -> str:
    """Return the README of an inspector folder, with or without calibration images in it."""
    sections = {
        "What it was trained on": _trained_on(card),
        "What it may decide": _decides(card),
        "How well, on images it had never seen": _figures(card.metrics),
        "What was proven of the export": _proof(card),
        **_fixed_size(card),
        "Limits": _limits(card),
        "Licences": _licences(card, has_images),
    }
    text = "\n\n".join(f"## {title}\n\n{body}" for title, body in sections.items())
    return (
        f"# Inspector {card.id}\n\n"
        f"A classifier of part images: network {_cell(card.network.name)} "
        f"({_cell(card.network.architecture)}), input {card.network.input_text()}, made by "
        f"sihwa {_cell(card.code_version)} on {_cell(card.created)}.\n\n{text}\n"
    )


def _trained_on(card: Card) -> str:
    count = sum(sum(splits.values()) for splits in card.dataset.count.values())
    rows = [
        [name, *(str(card.dataset.count.get(name, {}).get(split, 0)) for split in _SPLITS)]
        for name in card.classes
    ]
    return (
        f"{count} images of {_cell(card.dataset.name)}, fingerprint "
        f"`{card.dataset.fingerprint}`. Thresholds and temperature ({card.temperature:.3f}) "
        "come from the calibration images alone; the test images were looked at once. "
        f"Way of training: {_cell(str(card.training.get('name', 'not stated')))}, seed "
        f"{_cell(str(card.training.get('seed', 'not stated')))}.\n\n"
        + _table(["class", *_SPLITS], rows)
    )


def _decides(card: Card) -> str:
    threshold, policy = card.policy.unknown_threshold, card.policy
    unknown = (
        "No image is called unknown: `decision.unknown_rate` was 0."
        if threshold is None
        else f"An image whose unknown score exceeds {threshold:.3f} goes to review instead."
    )
    if isinstance(policy, ThresholdFacts):
        head = ["P(defect)", "decision"]
        rows = [
            [f"at most {policy.accept_at_most:.3g}", "accept"],
            ["between", "review"],
            [f"at least {policy.reject_at_least:.3g}", "reject"],
        ]
        rule = (
            "P(defect), the probability of all classes but "
            f"{', '.join(map(_cell, card.accept_classes))}, decides. "
        )
    else:
        head = ["most probable class", "decision"]
        rows = [
            [name, "accept" if name in card.accept_classes else "reject"] for name in card.classes
        ]
        rule = "The most probable class decides. "
        if policy.least_probability is not None:
            rule += f"If its probability is below {policy.least_probability:.3g}, review. "
    return f"{rule}{unknown} What cannot be read goes to review.\n\n{_table(head, rows)}"


def _claims(card: Card) -> list[str]:
    if not card.claims:
        return ["No bound on escapes (미검) has been set or proven."]
    return [
        f"Proven: {_cell(claim.rate)} at most {math.ceil(claim.bound * 1e4 - 1e-6) / 100:.2f} % at "
        f"{claim.confidence:.0%} confidence ({claim.occurrences} of {claim.images} calibration "
        f"{claim.per}s), as long as images of the line are like them."
        for claim in card.claims
    ]


def _limits(card: Card) -> str:
    lines = [
        "The figures hold for images like those of the data set: same part, camera, lens, light.",
        *_claims(card),
        "A defect of a kind that was not in the data may still be given one of the classes above.",
        "The evidence map shows where the network looked, not the outline of a defect.",
        "What was proven of a runtime holds for the version and processor named beside it. "
        "Elsewhere run `sihwa verify` on this folder first.",
        "The SHA-256 in card.json detects accidental damage, not tampering: it is no signature.",
    ]
    if not card.accept_classes:
        lines.insert(0, "No class is acceptable, so every image is rejected or sent to review.")
    return "\n".join(f"- {line}" for line in lines)


def _licences(card: Card, has_images: bool) -> str:
    inside = " (some lie in images.zip: who gets the folder gets them too)"
    rows = [
        ["images" + (inside if has_images else ""), card.dataset.licence],
        [f"pretrained weights, from {card.weights.source}", card.weights.licence],
        ["the program that made it, sihwa", "Apache-2.0"],
    ]
    return _table(["part", "licence"], rows)


def _figures(metrics: dict[str, Any]) -> str:
    rows = []
    decided = (metrics.get("decisions") or {}).get("figures", {})
    named = [(name, figure) for name, figure in decided.items()]
    for name, figure in metrics.get("figures", {}).items():
        named.append((f"{name} of the top class" if name in decided else name, figure))
    for name, figure in named:
        value = "undefined" if figure["value"] is None else f"{figure['value']:.4f}"
        rows.append([name.replace("_", " "), value, _interval(figure), figure["method"]])
    return _table(["figure", "value", "interval", "method"], rows)


def _proof(card: Card) -> str:
    if not card.proof:
        return "Nothing was proven at export. Run `sihwa verify` on this folder."
    int8_model = ""
    if card.int8 is not None:
        int8_model = (
            f" The INT8 model keeps {card.int8.float32_layers} convolutions in float32. Its close "
            f"calls, {card.int8.second_passes:.1%} of the calibration images, are re-run in "
            f"float32; with them it may flip at most {card.int8.allowed_flips} decisions."
        )
    lines = [f"- {_cell(proof.verdict())}; {proof.speed()}" for proof in card.proof]
    return (
        "Compared with the trained network in PyTorch, float32, on the test images, some of them "
        f"in other sizes, on {_cell(card.proof[0].processor)}.{int8_model}\n\n" + "\n".join(lines)
    )


def _fixed_size(card: Card) -> dict[str, str]:
    """Return the section on the fixed-size graph, if there is one."""
    facts = card.fixed_size
    if facts is None:
        return {}
    axes = ", ".join(map(str, facts.input))
    proof = "Nothing was proven of it under this policy."
    if facts.proof:
        proof = "Compared likewise, on images resized as in inspector.onnx:\n\n" + "\n".join(
            f"- {_cell(proof.verdict())}" for proof in facts.proof
        )
    if facts.proof and facts.pillow_flips is not None:
        proof += (
            f"\n\nIf Pillow resizes them to 8-bit pixels, {facts.pillow_flips} of "
            f"{facts.proof[0].images} decisions flip."
        )
    return {
        "For OpenCV and devices that need a fixed size": (
            f"inspector.fixed.onnx takes one resized image: `pixels`, float32 ({axes}), RGB, 0 to "
            f"255. {proof}"
        )
    }


def _interval(figure: dict[str, Any]) -> str:
    if figure["low"] is None or figure["high"] is None:
        return "undefined"
    # rounded outwards: an interval may not be stated narrower than it is
    low, high = math.floor(figure["low"] * 1e4 + 1e-6), math.ceil(figure["high"] * 1e4 - 1e-6)
    return f"{low / 1e4:.4f} to {high / 1e4:.4f} ({figure['confidence']:.0%})"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    """Keep names from outside from breaking out of a table cell or becoming HTML."""
    flat = " ".join(text.split())
    return flat.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
