"""The peers' side of `benchmarks/peers.py`, run in their environment.

peers_loop.py export FOLDER yolo11s-cls ...       networks of Ultralytics, without weights
peers_loop.py torchvision IMAGES NETWORK TABLE  a plain loop
peers_loop.py timm IMAGES NETWORK TABLE         the same with timm's loader and model
"""

import csv
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

CLASSES = 6
BATCH = 32


def export(folder: str, *names: str) -> None:
    """Build networks from the package's own descriptions; save and export each."""
    from ultralytics import YOLO

    os.chdir(folder)
    for name in names:
        model = YOLO(f"{name}.yaml", task="classify")
        model.save(f"{name}.pt")
        print(f"model {Path(folder, f'{name}.pt')}")
        loaded = YOLO(f"{name}.pt")
        for form in ("onnx", "openvino"):
            made = loaded.export(format=form, imgsz=224, dynamic=True)
            print(f"model {Path(folder, made)}")


def torchvision(folder: str, network: str, table: str) -> None:
    """Score a folder as torchvision's documentation shows."""
    import torch
    import torchvision
    from torchvision.transforms import v2

    prepare = v2.Compose(
        [
            v2.Resize((224, 224)),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    paths = sorted(map(str, Path(folder).iterdir()))

    class Files(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, place: int) -> Any:  # noqa: ANN401
            mode = torchvision.io.ImageReadMode.RGB
            return prepare(torchvision.io.decode_image(paths[place], mode))

    model = getattr(torchvision.models, network)(weights=None, num_classes=CLASSES).eval()
    loader: Any = torch.utils.data.DataLoader(Files(), BATCH, num_workers=os.cpu_count() or 1)
    write(table, paths, probabilities(model, loader))


def timm(folder: str, network: str, table: str) -> None:
    """Score a folder as timm's inference script does, with the same functions of the package."""
    from timm import create_model
    from timm.data import create_dataset, create_loader, resolve_data_config

    model = create_model(network, pretrained=False, num_classes=CLASSES).eval()
    settings = resolve_data_config({}, model=model)
    dataset = create_dataset("", root=folder)
    loader = create_loader(
        dataset,
        batch_size=BATCH,
        use_prefetcher=False,
        num_workers=os.cpu_count() or 1,
        input_size=settings["input_size"],
        mean=settings["mean"],
        std=settings["std"],
        interpolation=settings["interpolation"],
        crop_pct=settings["crop_pct"],
    )
    images = (batch for batch, _ in loader)
    write(table, dataset.filenames(basename=True), probabilities(model, images))


def probabilities(model: Any, batches: Iterable[Any]) -> Iterator[list[float]]:  # noqa: ANN401
    """Yield the probabilities of each image."""
    import torch

    with torch.inference_mode():
        for batch in batches:
            yield from model(batch).softmax(1).tolist()


def write(table: str, paths: Iterable[str], rows: Iterable[list[float]]) -> None:
    """Write one row per image."""
    with open(table, "w", newline="", encoding="utf-8") as file:  # noqa: PTH123
        writer = csv.writer(file)
        writer.writerow(["path", *range(CLASSES)])
        writer.writerows([path, *row] for path, row in zip(paths, rows, strict=True))


if __name__ == "__main__":
    {"export": export, "torchvision": torchvision, "timm": timm}[sys.argv[1]](*sys.argv[2:])
