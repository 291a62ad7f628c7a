"""Inspect images without Sihwa; docs/inspector-format.md explains every step."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from PIL import Image, ImageOps


def load(path: str) -> tuple[ort.InferenceSession, dict[str, Any]]:
    """Return the session and the card of an inspector."""
    content, options = Path(path).read_bytes(), ort.SessionOptions()
    # without this the library guesses the format from the file's first bytes
    options.add_session_config_entry("session.load_model_format", "ONNX")
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    card = json.loads(session.get_modelmeta().custom_metadata_map.get("sihwa.card", "{}"))
    found = (card.get("format"), card.get("format_version"))
    if found != ("sihwa-inspector", 3) or card["policy"]["kind"] not in ("top_class", "thresholds"):
        raise ValueError(f"expected ('sihwa-inspector', 3) and a known policy, found {found}")
    if hashlib.sha256(content[: card["graph"]["bytes"]]).hexdigest() != card["graph"]["sha256"]:
        raise ValueError("the graph was changed after it was written; copy the inspector again")
    return session, card


def decode(path: str) -> np.ndarray:
    """Return an image as (H, W, 3) uint8 RGB: upright, grey repeated, transparency over black."""
    with Image.open(path, formats=("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM")) as file:
        if file.width * file.height > 100_000_000 or getattr(file, "n_frames", 1) > 1:
            raise ValueError("expected one page of at most 100,000,000 pixels")
        image = ImageOps.exif_transpose(file)
    if image.mode.startswith(("I", "F")):
        wide = np.asarray(image).astype(np.int64)
        if image.mode == "F" or wide.min() < 0 or wide.max() > 65535:
            raise ValueError("expected pixels of 8 or 16 bits")
        return np.repeat(((wide + 128) // 257).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))


def box_of(evidence: np.ndarray, height: int, width: int) -> list[int] | None:
    """Return [x0, y0, x1, y1] around the cells joined to the peak that reach half of it."""
    (rows, columns), peak, found = evidence.shape, evidence.max(), set()
    waiting = [divmod(int(evidence.argmax()), columns)] if peak > 0 else []
    while waiting:
        y, x = cell = waiting.pop()
        inside = cell not in found and 0 <= y < rows and 0 <= x < columns
        if inside and evidence[cell] >= peak / 2:
            found.add(cell)
            waiting += [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    if not found:
        return None
    ys, xs = zip(*found, strict=True)
    x0, y0 = min(xs) * width // columns, min(ys) * height // rows
    return [x0, y0, -(-(max(xs) + 1) * width // columns), -(-(max(ys) + 1) * height // rows)]


def decide(card: dict[str, Any], top_class: str, probability: list[float]) -> tuple[str, str]:
    """Return decision and reason of an image that is like the training images."""
    policy, accepted = card["policy"], card["accept_classes"]
    if policy["kind"] == "top_class":
        if max(probability) < (policy["least_probability"] or 0):
            return "review", f"its probability is too low; top class is {top_class}"
        return "accept" if top_class in accepted else "reject", f"top class is {top_class}"
    defect = 0.0
    for name, share in zip(card["classes"], probability, strict=True):
        defect += 0 if name in accepted else share
    decision, what = "review", "between the thresholds"
    if defect <= policy["accept_at_most"]:
        decision, what = "accept", "low"
    elif defect >= policy["reject_at_least"]:
        decision, what = "reject", "high"
    return decision, f"P(defect) is {what}; top class is {top_class}"


def inspect(session: ort.InferenceSession, card: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the answer for one image, as a dict for JSON."""
    try:
        image = decode(path)
    except Exception as error:  # damaged files make decoders raise almost anything
        return {"decision": "review", "reason": "unreadable", "error": str(error)}
    names = ["probability", "evidence", "unknown"]
    (probability,), (evidence,), (unknown,) = session.run(names, {"image": image[None]})
    if not np.isfinite([*probability, unknown]).all():
        return {"decision": "review", "reason": "the network gave NaN or inf"}
    top, threshold = int(probability.argmax()), card["policy"]["unknown_threshold"]
    name, box = card["classes"][top], box_of(evidence[top], *image.shape[:2])
    if (image == image[0, 0]).all():
        decision, reason = "review", "all pixels are the same"
    elif threshold is not None and float(unknown) > threshold:
        decision, reason = "review", f"unlike the training images; nearest is {name}"
    else:
        decision, reason = decide(card, name, probability.tolist())
    answer = {"decision": decision, "reason": reason, "top_class": name}
    return answer | {"probability": probability.tolist(), "unknown": float(unknown), "box": box}


if __name__ == "__main__":
    path, *images = sys.argv[1:] or sys.exit("usage: inspect_one.py INSPECTOR.onnx IMAGE ...")
    try:
        loaded = load(path)
    except Exception as error:  # ONNX Runtime raises errors of its own
        sys.exit(f"{path}: {' '.join(str(error).split())}")
    for image in images:
        print(json.dumps({"image": image} | inspect(*loaded, image)))
