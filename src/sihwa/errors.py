"""Every error a user can cause, in one tree.

    SihwaError
    ├── ConfigError              a setting is unknown, out of range or missing
    ├── DatasetError
    │   ├── DatasetNotFound      the folder, file or package with the images is not there
    │   ├── EmptyDataset         it is there and holds no image
    │   ├── InvalidLabels        a label file lacks a column, or a label is not usable
    │   ├── TooFewImages         a class cannot be split into train / calibration / test
    │   └── UnreadableImages     images of the training data cannot be read
    ├── UnreadableImage          one image cannot be read: carries path and reason
    ├── ModelError
    │   ├── UnknownModel         no network of that name
    │   └── WeightsUnavailable   its pretrained weights are not on this machine
    ├── TrainingDiverged         loss or weights are no longer finite numbers
    ├── PackageMissing           a package is needed that this installation lacks
    ├── ClusterError             other machines cannot be reached, or cannot do the work
    ├── ShapeError               an array has the wrong shape, length or range
    ├── InspectorError
    │   ├── InvalidInspector     the inspector on disk is damaged, foreign or too new
    │   ├── ParityError          the exported graph decides differently from the network
    │   └── RuntimeUnavailable   the runtime that was asked for is not installed or not proven
    └── StorageError             writing failed: disk full, no permission, in use

The message is one line: what was expected, what came, where, what to do. Commands print it
and exit with `exit_code`; a traceback is a defect.
"""


class SihwaError(Exception):
    """Any error a user can cause; its text is one line."""

    exit_code = 1


class ConfigError(SihwaError):
    """A setting is unknown, out of range or missing."""

    exit_code = 2


class DatasetError(SihwaError):
    """The images or their labels cannot be used."""


class DatasetNotFound(DatasetError):
    """The folder, file or package with the images is not there."""


class EmptyDataset(DatasetError):
    """The place is there and holds no image."""


class InvalidLabels(DatasetError):
    """A label file lacks a column, or a label is not usable."""


class TooFewImages(DatasetError):
    """A class cannot be split into train / calibration / test."""


class UnreadableImages(DatasetError):
    """Images of the training data cannot be read; the message lists them by path."""

    def __init__(self, message: str, images: "list[UnreadableImage]") -> None:
        super().__init__(message)
        self.images = images


class UnreadableImage(SihwaError):
    """One image cannot be read.

    Attributes:
        path: The image, as it was asked for.
        reason: Why, in a few words, without the path.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class TrainingDiverged(SihwaError):
    """Loss or weights are no longer finite numbers: the steps were too long."""

    def __init__(self, sign: str) -> None:
        super().__init__(
            f"the training diverged: {sign}. Begin a new run with a smaller "
            "training.optimizer.learning_rate or head_rate, or with training.optimizer.clip=1"
        )


class ModelError(SihwaError):
    """The network cannot be built."""


class UnknownModel(ModelError):
    """No network of that name."""


class WeightsUnavailable(ModelError):
    """The pretrained weights are not on this machine."""


class PackageMissing(SihwaError):
    """A package is needed that this installation lacks."""


class ClusterError(SihwaError):
    """Other machines cannot be reached, or cannot do the work."""


class ShapeError(SihwaError):
    """An array has the wrong shape, length or range."""


class InspectorError(SihwaError):
    """The inspector cannot be written, loaded or trusted."""


class InvalidInspector(InspectorError):
    """The inspector on disk is damaged, foreign or too new."""


class ParityError(InspectorError):
    """The exported graph decides differently from the trained network."""


class RuntimeUnavailable(InspectorError):
    """The runtime that was asked for is not installed or not proven here."""


class StorageError(SihwaError):
    """Writing failed: disk full, no permission, in use."""
