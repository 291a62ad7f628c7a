"""Inspect images with OpenCV alone; docs/inspector-format.md explains every step."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageOps

OUTPUTS = ["probability", "evidence", "embedding", "unknown"]


def load(folder: Path) -> tuple[cv2.dnn.Net, dict[str, Any]]:
    """Return the network and the card of an inspector folder made with export.fixed_size=true."""
    card = json.loads((folder / "card.json").read_text("utf-8"))
    found = (card.get("format"), card.get("format_version"))
    if found != ("sihwa-inspector", 3) or card["policy"]["kind"] not in ("top_class", "thresholds"):
        raise ValueError(f"expected ('sihwa-inspector', 3) and a known policy, found {found}")
    if "fixed_size" not in card:
        raise ValueError("no inspector.fixed.onnx; train with export.fixed_size=true")
    graph = (folder / "inspector.fixed.onnx").read_bytes()
    if hashlib.sha256(graph).hexdigest() != card["fixed_size"]["sha256"]:
        raise ValueError("the graph was changed after it was written; copy the inspector again")
    return cv2.dnn.readNetFromONNX(np.frombuffer(graph, np.uint8)), card


def decode(path: str, height: int, width: int) -> np.ndarray:
    """Return an 8-bit image, resized: (1, 3, height, width), float32 RGB, 0 to 255."""
    with Image.open(path) as file:
        if getattr(file, "n_frames", 1) > 1 or file.mode.startswith(("I", "F")):
            raise ValueError("expected one page with pixels of 8 bits")
        image = ImageOps.exif_transpose(file)
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    # not cv2.resize: it does not antialias where it shrinks
    resized = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32).transpose(2, 0, 1)[None].copy()


def decide(card: dict[str, Any], probability: list[float], unknown: float) -> tuple[str, str]:
    """Return decision and reason of finite outputs."""
    policy, accepted = card["policy"], card["accept_classes"]
    top = card["classes"][probability.index(max(probability))]
    if policy["unknown_threshold"] is not None and unknown > policy["unknown_threshold"]:
        return "review", f"unlike the training images; nearest is {top}"
    if policy["kind"] == "top_class":
        if max(probability) < (policy["least_probability"] or 0):
            return "review", f"its probability is too low; top class is {top}"
        return "accept" if top in accepted else "reject", f"top class is {top}"
    defect = 0.0
    for name, share in zip(card["classes"], probability, strict=True):
        defect += 0 if name in accepted else share
    decision, what = "review", "between the thresholds"
    if defect <= policy["accept_at_most"]:
        decision, what = "accept", "low"
    elif defect >= policy["reject_at_least"]:
        decision, what = "reject", "high"
    return decision, f"P(defect) is {what}; top class is {top}"


def inspect(network: cv2.dnn.Net, card: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the answer for one image, as a dict for JSON."""
    try:
        pixels = decode(path, *card["fixed_size"]["input"][2:])
    except Exception as error:  # damaged files make decoders raise almost anything
        return {"decision": "review", "reason": "unreadable", "error": str(error)}
    network.setInput(pixels, "pixels")
    (probability,), _, _, ((unknown,),) = network.forward(OUTPUTS)
    if not np.isfinite([*probability, unknown]).all():
        return {"decision": "review", "reason": "the network gave NaN or inf"}
    decision, reason = decide(card, probability.tolist(), float(unknown))
    answer = {"decision": decision, "reason": reason}
    return answer | {"probability": probability.tolist(), "unknown": float(unknown)}


if __name__ == "__main__":
    path, *images = sys.argv[1:] or sys.exit("usage: inspect_opencv.py INSPECTOR_FOLDER IMAGE ...")
    try:
        loaded = load(Path(path))
    except Exception as error:  # OpenCV raises errors of its own
        sys.exit(f"{path}: {' '.join(str(error).split())}")
    for image in images:
        print(json.dumps({"image": image} | inspect(*loaded, image)))
