"""How commands speak: results on standard output, one-line errors on standard error."""

import contextlib
import os
import sys
from collections.abc import Iterator

from sihwa.errors import SihwaError

__all__ = ["EXIT_INTERRUPTED", "errors_as_lines"]

EXIT_INTERRUPTED = 130


@contextlib.contextmanager
def errors_as_lines() -> Iterator[None]:
    """End the program with one line, no traceback, on any error that a user can cause."""
    try:
        yield
    except SihwaError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt:
        print("stopped; every file that is there is whole", file=sys.stderr)  # noqa: T201
        raise SystemExit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        # what reads the output has ended (`| head`); Python's last flush must not complain of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
