"""Settings of the data sets and their splits."""

from dataclasses import dataclass, field
from typing import Any

from sihwa.errors import ConfigError, check_settings
from sihwa.images import MAX_PIXELS, parse_white


@dataclass
class SplitConfig:
    """Splits of images for which the source gives none."""

    calibration: float = 0.2
    """Share that temperature and thresholds are fitted on, in (0, 1)."""
    test: float = 0.2
    """Share that the figures are reported on, in (0, 1); the rest is for training."""
    train_per_class: int | None = None
    """Largest number of training images per class, others are left out of the run; null for all.
    Shows how many images a class needs."""
    from_run: str | None = None
    """Folder of an earlier run whose splits are kept; only images it did not have are drawn."""
    given: str = "keep"
    """Splits that the data set gives: `keep`, or `ignore` to draw new ones."""

    def __post_init__(self) -> None:
        check_settings(
            "dataset.split.", self, calibration="(0, 1)", test="(0, 1)", given=("keep", "ignore")
        )
        if self.calibration + self.test >= 1:
            raise ConfigError(
                "dataset.split.calibration + dataset.split.test must be below 1, got "
                f"{self.calibration + self.test:g}, which leaves nothing for training"
            )
        if self.train_per_class is not None and self.train_per_class < 1:
            raise ConfigError(
                "dataset.split.train_per_class must be null or at least 1, got "
                f"{self.train_per_class}"
            )


@dataclass
class DatasetConfig:
    """Settings of every data set."""

    name: str = "???"
    """Name of the data set, as shown in reports."""
    accept_classes: list[str] = field(default_factory=list)
    """Classes that pass; every other class is a defect."""
    exclude: list[str] = field(default_factory=list)
    """Globs of images that are not read, such as *_mask.* or ground_truth; case is ignored."""
    leave_out: list[str] = field(default_factory=list)
    """Classes whose images are left out."""
    merge: dict[str, list[str]] = field(default_factory=dict)
    """Classes that become one, by its name: {scratch: [scratch_a, scratch_b]}."""
    on_unreadable: str = "fail"
    """On an image that cannot be read: `fail` ends the run, `drop` leaves the image out."""
    max_pixels: int = MAX_PIXELS
    """Largest allowed height × width of an image; a larger one cannot be read."""
    white: Any = None
    """Which value of 16-bit, 32-bit or floating-point pixels is white: NUMBER, [BLACK, WHITE], or
    `auto` to find the bits that 16-bit images use; null takes all 16 bits, and refuses the others.
    See docs/row-contract.md."""
    region: Any = None
    """What of every image is looked at: [left, top, right, bottom], a polygon [[x, y], ...], or an
    image file that is black where nothing is looked at; shares of the image or pixels."""
    group: str | None = None
    """Which images show one part, so that they stay in one split: column:NAME, pattern:REGEX,
    folder:LEVEL, every:N, gap:N, time:SECONDS or similar. See docs/groups.md."""
    audit: str = "warn"
    """Look for faults of the data set before training: `warn` reports them, `strict` ends the run
    if one is severe, `off` does not look. See docs/audit.md."""
    split: SplitConfig = field(default_factory=SplitConfig)
    """Shares of the splits that the data set does not give."""
    licence: str = "not stated"
    """Licence of the images, copied into the inspector's card."""

    def __post_init__(self) -> None:
        check_settings(
            "dataset.",
            self,
            on_unreadable=("fail", "drop"),
            audit=("warn", "strict", "off"),
            max_pixels="[1, inf)",
        )
        if self.white != "auto":
            parse_white(self.white, "dataset.white")


@dataclass
class ElpvConfig(DatasetConfig):
    """Electroluminescence images of solar cells, from the package elpv-dataset."""

    classes: str = "binary"
    """`binary`: functional, defective. `four`: the four degrees that the assessors gave."""

    def __post_init__(self) -> None:
        DatasetConfig.__post_init__(self)
        check_settings("dataset.", self, classes=("binary", "four"))


@dataclass
class NeuDetConfig(DatasetConfig):
    """Images of hot-rolled steel strip, six kinds of defect, in any of three layouts."""

    root: str = "???"
    """Folder or .zip of NEU-DET or NEU-CLS."""


@dataclass
class PublicSetConfig(DatasetConfig):
    """Images of a public data set, laid out as its authors give it."""

    layout: str = "???"
    """Name of the set, as `sihwa fetch` lists it."""
    root: str = "???"
    """Folder or .zip of the set."""


@dataclass
class AutoConfig(DatasetConfig):
    """Images of whichever public data set is there, else in one folder per class."""

    root: str = "???"
    """Folder or .zip; the layout shows which set it is."""


@dataclass
class ImageFolderConfig(DatasetConfig):
    """Images in one folder per class."""

    root: str = "???"
    """Folder or .zip: `<class>/...` or `{train,calibration|val,test}/<class>/...`."""


@dataclass
class TabularConfig(DatasetConfig):
    """Images listed in a table."""

    path: str = "???"
    """CSV or Parquet with the columns path, label and optionally group and split."""
    root: str | None = None
    """Folder that the paths are relative to, or to which the images moved; null: the table's."""
