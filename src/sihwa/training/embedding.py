"""Embeddings of a manifest's images, computed once and cached by content.

Axes: N images, T tiles of an image, D embedding width.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sihwa.dataset import Manifest
from sihwa.images import batch_length, limited_threads
from sihwa.model import Network, export_activation, export_graph
from sihwa.storage.database import explaining, open_database
from sihwa.terminal.progress import progress_bar
from sihwa.training.prefetch import group_by, prefetch

Embedder = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Embeddings = dict[str, NDArray[np.float32]]
"""Image content (SHA-256) → embeddings of its tiles, one after the other, (T · D,)."""

_TILES = 32
"""At most so many tiles go through the network at once, but at least one image."""


def embed_manifest(
    network: Network, manifest: Manifest, *, cache_dir: Path | None, device: torch.device
) -> NDArray[np.float32]:
    """Return the embedding of every image, (N, D): the mean over its tiles.

    For arguments and errors see `embed_tiles`.
    """
    tiles = embed_tiles(network, manifest, cache_dir=cache_dir, device=device)
    embedding: NDArray[np.float32] = tiles.mean(1)
    return embedding


def embed_tiles(
    network: Network, manifest: Manifest, *, cache_dir: Path | None, device: torch.device
) -> NDArray[np.float32]:
    """Return the embeddings of the tiles of every image, (N, T, D), in the manifest's order.

    Images whose content is in the cache of the same backbone are not read again.

    Args:
        network: Its backbone and preprocessing are used, its classifier is not.
        manifest: The images.
        cache_dir: Folder of the cache; None caches nothing, for a backbone that no other run has.
        device: Device of PyTorch.

    Raises:
        UnreadableImage: An image vanished or changed since the manifest was made.
        StorageError: The cache is damaged or cannot be written.
    """
    content: list[str] = manifest.table["sha256"].to_pylist()
    path = cache_dir and cache_dir.expanduser() / _cache_name(network, manifest)
    tiles, width = network.framing.tile_count, network.classifier.in_features
    with contextlib.closing(EmbeddingCache(path, tiles * width)) as cache:
        found = cache.find(content)
        first = {sha256: row for row, sha256 in reversed(list(enumerate(content)))}
        missing = sorted(row for sha256, row in first.items() if sha256 not in found)
        for batch, embedding in _embed(network, manifest, missing, device):
            new = dict(zip((content[row] for row in batch), embedding, strict=True))
            cache.add(new)
            found |= new
    return np.stack([found[sha256] for sha256 in content]).reshape(-1, tiles, width)


def _cache_name(network: Network, manifest: Manifest) -> Path:
    """Return a name for all that an embedding depends on besides the file's content."""
    digest = network.backbone_digest()[:32]
    return Path("embeddings", f"{digest}-{manifest.decoding.key}.sqlite")


def _embed(
    network: Network, manifest: Manifest, rows: Sequence[int], device: torch.device
) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """Yield rows and their embeddings, (n, T · D), batch by batch."""
    if not rows:
        return
    embed = create_embedder(network, device)
    with progress_bar("embedding", len(rows)) as advance:
        for batch, images in read_batches(manifest, rows):
            yield batch, embed(images).reshape(len(images), -1)
            advance(len(batch))


def create_embedder(network: Network, device: torch.device) -> Embedder:
    """Return a function from images (N, H, W, 3) of one size to embeddings (N, T, D).

    On a CPU it runs the exported graph in ONNX Runtime, on a GPU the network in PyTorch.
    """
    if device.type == "cpu":
        return _create_session(network)

    resident = network.to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def embed(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        embedding = resident.embed_tiles(torch.from_numpy(image).to(device))
        result: NDArray[np.float32] = embedding.float().cpu().numpy()
        return result

    return embed


def _create_session(network: Network) -> Embedder:
    if network.framing.tile_count == 1:
        graph, output = export_graph(network), "embedding"
    else:  # the inspector's own graph gives the mean of the tiles alone
        graph, output = export_activation(_TileEmbeddings(network)), "activation"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = limited_threads()
    session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    few = max(1, _TILES // network.framing.tile_count)

    def embed(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = [
            session.run([output], {"image": image[start : start + few]})[0]
            for start in range(0, len(image), few)
        ]
        return np.concatenate(parts).reshape(len(image), network.framing.tile_count, -1)

    return embed


class _TileEmbeddings(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network.embed_tiles(image)


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

    yield from prefetch(read, _cut(rows, lambda row: (height[row], width[row])))


def _cut(rows: Sequence[int], size_of: Callable[[int], tuple[int, int]]) -> Iterator[list[int]]:
    """Cut rows into batches of images of one size, the fewer the larger they are."""
    for group in group_by(rows, size_of):
        height, width = size_of(group[0])
        length = batch_length(3 * height * width)
        for start in range(0, len(group), length):
            yield group[start : start + length]


class EmbeddingCache:
    """Embeddings by image content, in one SQLite file per backbone.

    SQLite survives a kill in the middle of a write, lets two runs share the file, and looks up a
    few images without reading the rest.

    Args:
        path: The file, made if missing; None for a temporary one.
        width: Embedding width D.

    Raises:
        StorageError: The file is damaged or cannot be written.
    """

    def __init__(self, path: Path | None, width: int) -> None:
        self._path, self._width = path, width
        with self._explained():
            self._database = open_database(
                path,
                "PRAGMA journal_mode=WAL",
                "PRAGMA synchronous=NORMAL",
                "CREATE TABLE IF NOT EXISTS embedding "
                "(sha256 TEXT PRIMARY KEY, vector BLOB NOT NULL)",
            )

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def find(self, content: Sequence[str]) -> Embeddings:
        """Return the embeddings that are in the cache."""
        found = {}
        for start in range(0, len(content), 500):  # SQLite bounds the number of parameters
            some = content[start : start + 500]
            marks = ",".join("?" * len(some))
            query = f"SELECT sha256, vector FROM embedding WHERE sha256 IN ({marks})"
            with self._explained():
                rows = self._database.execute(query, some).fetchall()
            for sha256, vector in rows:
                if len(vector) == 4 * self._width:
                    found[sha256] = np.frombuffer(vector, np.float32)
        return found

    def add(self, embeddings: Mapping[str, NDArray[np.float32]]) -> None:
        """Add embeddings; they are on disk on return."""
        rows = [
            (sha256, np.ascontiguousarray(vector, np.float32).tobytes())
            for sha256, vector in embeddings.items()
        ]
        with self._explained(), self._database:
            self._database.execute("BEGIN")
            self._database.executemany("INSERT OR REPLACE INTO embedding VALUES (?, ?)", rows)

    def _explained(self) -> contextlib.AbstractContextManager[None]:
        return explaining(
            f"embedding cache {self._path}",
            "It can be deleted without loss; cache_dir=PATH sets another place",
        )
