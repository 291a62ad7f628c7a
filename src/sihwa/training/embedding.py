"""Embeddings of a manifest's images, computed once and cached by content.

Axes: N images, D embedding width.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from sihwa.dataset import Manifest
from sihwa.model import Network, export_graph
from sihwa.terminal.progress import progress_bar
from sihwa.training.cache import EmbeddingCache
from sihwa.training.prefetch import group_by, prefetch

Embedder = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
_BATCH = 32


def embed_manifest(
    network: Network, manifest: Manifest, *, cache_dir: Path | None, device: torch.device
) -> NDArray[np.float32]:
    """Return the embedding of every image, (N, D), in the manifest's order.

    Images whose content is in the cache of the same backbone are not read again.

    Args:
        network: Its backbone and preprocessing are used, its classifier is not.
        manifest: The images.
        cache_dir: Folder of the cache; None caches nothing, for a backbone that no other run has.
        device: Device of PyTorch.

    Raises:
        UnreadableImage: An image vanished or changed since the manifest was made.
    """
    content: list[str] = manifest.table["sha256"].to_pylist()
    if cache_dir is None:
        found: dict[str, NDArray[np.float32]] = {}
        for batch, embedding in _embed(network, manifest, _unique_rows(content, set()), device):
            found.update(zip((content[row] for row in batch), embedding, strict=True))
        return np.stack([found[sha256] for sha256 in content])
    with EmbeddingCache(cache_dir, network.backbone_digest(), _width(network)) as cache:
        missing = _unique_rows(content, cache.known(content))
        for batch, embedding in _embed(network, manifest, missing, device):
            cache.put([content[row] for row in batch], embedding)
        return cache.get(content)


def _embed(
    network: Network, manifest: Manifest, rows: Sequence[int], device: torch.device
) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """Yield rows and their embeddings, (n, D), batch by batch."""
    if not rows:
        return
    embed = create_embedder(network, device)
    with progress_bar("embedding", len(rows)) as advance:
        for batch, images in read_batches(manifest, rows):
            yield batch, embed(images)
            advance(len(batch))


def _width(network: Network) -> int:
    return network.classifier.in_features


def _unique_rows(content: Sequence[str], known: set[str]) -> list[int]:
    first = {sha256: row for row, sha256 in reversed(list(enumerate(content)))}
    return sorted(row for sha256, row in first.items() if sha256 not in known)


def create_embedder(network: Network, device: torch.device) -> Embedder:
    """Return a function from images (N, H, W, 3) of one size to embeddings (N, D).

    On a CPU it runs the exported graph in ONNX Runtime, on a GPU the network in PyTorch.
    """
    if device.type == "cpu":
        session = onnxruntime.InferenceSession(
            export_graph(network), providers=["CPUExecutionProvider"]
        )
        return lambda image: session.run(["embedding"], {"image": image})[0]

    resident = network.to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def embed(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        embedding = resident.embed(torch.from_numpy(image).to(device))
        result: NDArray[np.float32] = embedding.float().cpu().numpy()
        return result

    return embed


def read_batches(
    manifest: Manifest, rows: Sequence[int]
) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """Yield row numbers and images (N, H, W, 3) of one size, decoded ahead of their use.

    Raises:
        UnreadableImage: An image is gone or changed since the manifest was made.
    """
    height, width = (manifest.table[name].to_pylist() for name in ("height", "width"))

    def read(group: list[int]) -> tuple[list[int], NDArray[np.uint8]]:
        return group, np.stack([manifest.read_image(row) for row in group])

    groups = group_by(rows, lambda row: (height[row], width[row]))
    yield from prefetch(
        read, (group[at : at + _BATCH] for group in groups for at in range(0, len(group), _BATCH))
    )
