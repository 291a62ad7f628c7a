"""Files of tensors from outside, read without running anything in them."""

import pickle
from pathlib import Path
from typing import Any

import torch


def read_tensor_file(path: Path) -> Any:  # noqa: ANN401 -- whatever was saved
    """Read what `torch.save` wrote, as long as it is tensors and plain values.

    Raises:
        OSError: It cannot be read at all.
        ValueError: It is damaged or holds anything else; the reason in one line.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ValueError("it is no plain file")  # opening a pipe would wait for its writer
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except pickle.UnpicklingError as error:
        raise ValueError(
            "it is damaged, or holds more than tensors and numbers; code in a file is never run"
        ) from error
    except Exception as error:  # damaged bytes raise nearly anything there
        reason = (str(error).splitlines() or [""])[0][:200]
        raise ValueError(f"{type(error).__name__}: {reason}") from error
