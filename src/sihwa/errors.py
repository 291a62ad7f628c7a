"""Every error that a user can cause, in one tree.

    SihwaError
    ├── ConfigError          a setting is unknown, out of range or missing
    ├── DatasetError         the images or labels of a training cannot be used
    ├── UnreadableImage      one image cannot be read: carries path and reason
    ├── ModelError           the network or its pretrained weights are not available
    ├── TrainingDiverged     loss or weights are NaN or inf
    ├── ShapeError           an array has the wrong shape, length or range
    ├── InvalidInspector     the inspector on disk is damaged, foreign or too new
    ├── ParityError          an exported graph differs from the network
    ├── RuntimeUnavailable   a runtime, package or cluster is missing, or not proven here
    ├── StorageError         a file cannot be written: disk full, no permission, in use
    └── DownloadError        a file cannot be had from its address, or is not what was expected

A message is one line: what was expected, what came, where, what to do. There is one class for each
kind of reaction, not for each message. Commands print the notes of an error (`add_note`) and its
message, and exit with `exit_code`; a traceback is a defect.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence


class SihwaError(Exception):
    """Any error that a user can cause; its text is one line."""

    exit_code = 1


class ConfigError(SihwaError):
    """A setting is unknown, out of range or missing."""

    exit_code = 2


class DatasetError(SihwaError):
    """The images or labels of a training cannot be used."""


class UnreadableImage(SihwaError):
    """One image cannot be read.

    Attributes:
        path: The image, as it was given.
        reason: Why, in a few words, without the path.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class ModelError(SihwaError):
    """The network or its pretrained weights are not available."""


class TrainingDiverged(SihwaError):
    """Loss or weights are NaN or inf, because the steps were too large."""

    def __init__(self, sign: str) -> None:
        super().__init__(
            f"the training diverged: {sign}. Start a new run with a smaller "
            "training.optimizer.learning_rate or head_rate, or with training.optimizer.clip=1"
        )


class ShapeError(SihwaError):
    """An array has the wrong shape, length or range."""


class InvalidInspector(SihwaError):
    """The inspector on disk is damaged, foreign or too new."""


class ParityError(SihwaError):
    """An exported graph decides differently from the network, or its values differ too much."""


class RuntimeUnavailable(SihwaError):
    """A runtime, package or cluster is missing, or not proven here."""


class StorageError(SihwaError):
    """A file cannot be written: disk full, no permission, in use."""


class DownloadError(SihwaError):
    """A file cannot be had from its address, or is not what was expected."""


@contextlib.contextmanager
def carrying(notes: Iterable[str]) -> Iterator[None]:
    """Give notes that were not shown yet to an error that ends the work, which shows them."""
    try:
        yield
    except SihwaError as error:
        known = getattr(error, "__notes__", ())
        for note in notes:
            if note not in known:
                error.add_note(note)
        raise


def check_settings(prefix: str, settings: object, **allowed: str | Sequence[str]) -> None:
    """Refuse settings outside their interval or choices, such as `ema="[0, 1)"`.

    Args:
        prefix: Their place, such as `training.optimizer.`; `--` for flags, spelled with dashes.
        settings: The object that holds them.
        allowed: An interval as text, or the choices.

    Raises:
        ConfigError: A setting is not allowed.
    """
    for name, expected in allowed.items():
        value = getattr(settings, name)
        place = prefix + (name.replace("_", "-") if prefix == "--" else name)
        if not isinstance(expected, str):
            if value not in expected:
                choices = ", ".join(expected)
                raise ConfigError(f"{place} must be one of {choices}; got {value!r}")
        elif not _is_inside(value, expected):
            raise ConfigError(f"{place} must be in {expected}, got {value}")


def _is_inside(value: float, interval: str) -> bool:
    """Tell whether a value is in an interval.

    >>> [_is_inside(value, "[0, 1)") for value in (0, 0.5, 1, float("nan"))]
    [True, True, False, False]
    """
    low, high = map(float, interval[1:-1].split(","))
    above = low < value if interval[0] == "(" else low <= value
    return above and (value < high if interval[-1] == ")" else value <= high)
