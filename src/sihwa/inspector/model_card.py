"""The model card: what an inspector is, for people, as Markdown."""

from typing import Any

from sihwa.inspector.card import Card

__all__ = ["model_card"]


def model_card(card: Card) -> str:
    """Return the README of an inspector folder."""
    return (
        "\n\n".join(
            [
                f"# Inspector {card.id}",
                _made_from(card),
                "## What it decides",
                _decides(card),
                "## How well, on pictures it had never seen",
                _figures(card.metrics),
                "## What was proven of the export",
                _proof(card.proof),
                "## Limits",
                _LIMITS,
                "## Licences",
                _table(
                    ["part", "licence"],
                    [
                        ["pictures", card.dataset["licence"]],
                        ["pretrained weights", card.weights["licence"]],
                    ],
                ),
            ]
        )
        + "\n"
    )


_LIMITS = """\
- The figures hold for pictures like those of the data set: same part, camera, lens and light.
- A decision takes the most probable class; no bound on escapes (미검) has been set or proven.
- A defect of a kind that was not in the data is still given one of the classes above.
- The evidence map shows where the network looked, not the outline of a defect."""


def _made_from(card: Card) -> str:
    count = sum(sum(splits.values()) for splits in card.dataset["count"].values())
    return (
        f"Network {_cell(card.network['name'])}, input {card.network['input_size']} px, trained "
        f"on {count} pictures of {_cell(card.dataset['name'])} (fingerprint "
        f"`{card.dataset['fingerprint'][:16]}`) by sihwa {card.code_version} on {card.created}."
    )


def _decides(card: Card) -> str:
    rows = []
    for name in card.classes:
        splits = card.dataset["count"].get(name, {})
        outcome = "accept" if name in card.accept_classes else "reject"
        rows.append([name, outcome, *(str(splits.get(s, 0)) for s in _SPLITS)])
    return _table(["class", "decision", *_SPLITS], rows)


_SPLITS = ("train", "calibration", "test")


def _figures(metrics: dict[str, Any]) -> str:
    rows = [
        [name.replace("_", " "), _number(figure["value"]), _interval(figure), figure["method"]]
        for name, figure in metrics.get("figures", {}).items()
    ]
    return _table(["figure", "value", "95 % interval", "method"], rows)


def _proof(proof: list[dict[str, Any]]) -> str:
    rows = [
        [
            f"{item['runtime']} {item['version']}",
            f"{item['device']} {item['precision']}",
            str(item["images"]),
            str(item["flips"]),
            f"{item['greatest_difference']:.1e}",
            "yes" if item["proven"] else "no: not to be used",
        ]
        for item in proof
    ]
    head = ["runtime", "device", "pictures", "decisions flipped", "greatest difference", "proven"]
    return _table(head, rows)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _interval(figure: dict[str, Any]) -> str:
    return f"{_number(figure['low'])} to {_number(figure['high'])}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    """Keep names from outside from breaking out of a table cell or becoming HTML."""
    flat = " ".join(text.split())
    return flat.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
