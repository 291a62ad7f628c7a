"""What a card says of the network, and of what it sees of an image."""

from typing import Annotated, Literal

from msgspec import Meta

from sihwa.inspector.strict_json import Facts

Side = Annotated[int, Meta(ge=1, le=8192)]
# a tuple of fixed length beside a bounded number crashes msgspec 0.22
TwoSides = Annotated[tuple[Side, ...], Meta(min_length=2, max_length=2)]
TileCount = Annotated[int, Meta(ge=1, le=256)]
MaskSide = Annotated[int, Meta(ge=1, le=256)]
Share = Annotated[float, Meta(ge=0, le=1)]


class FramingFacts(Facts, frozen=True, kw_only=True):
    """What of an image the network sees, if that is not the whole of it, stretched."""

    fit: Literal["stretch", "letterbox"]
    tiles: tuple[TileCount, TileCount]
    """Rows and columns."""
    tile_overlap: Annotated[float, Meta(ge=0, le=0.5)]
    region: tuple[Share, Share, Share, Share]
    """Left, top, right and bottom, as shares of the image."""
    mask: tuple[MaskSide, MaskSide] | None
    """Rows and columns of the mask in the graph, if there is one."""


class NetworkFacts(Facts, frozen=True, kw_only=True, omit_defaults=True):
    """The network as `sihwa.model` builds it."""

    name: str
    architecture: str
    input_size: Side | TwoSides
    """In pixels: of a square, or height and width."""
    stages: Annotated[int, Meta(ge=0, le=4)]
    embedding_width: Annotated[int, Meta(ge=1, le=1_000_000)]
    framing: FramingFacts | None = None
    """Left out of the card if None."""

    @property
    def input_sides(self) -> tuple[int, int]:
        """Height and width of the input."""
        size = self.input_size
        return (size, size) if isinstance(size, int) else (size[0], size[1])

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return self.framing.tiles if self.framing else (1, 1)

    def input_text(self) -> str:
        """Return the input and what is laid into it, for people."""
        tall, wide = self.input_sides
        text = f"{tall} px" if tall == wide else f"{tall} × {wide} px (height × width)"
        if self.framing is None:
            return text
        notes = ["letterbox"] if self.framing.fit == "letterbox" else []
        down, across = self.framing.tiles
        if down * across > 1:
            notes.append(f"{down} × {across} tiles that overlap by {self.framing.tile_overlap:.0%}")
        if self.framing.region != (0, 0, 1, 1):
            sides = ", ".join(f"{side:.4g}" for side in self.framing.region)
            notes.append(f"of the region {sides} (left, top, right, bottom as shares)")
        if self.framing.mask:
            notes.append("behind a mask")
        return ", ".join([text, *notes])
