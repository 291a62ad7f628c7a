"""A variant in a process of its own: started, asked to time itself, and ended."""

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from sihwa.benchmark.variant import Variant
from sihwa.errors import RuntimeUnavailable

_PROGRAM = Path(__file__).with_name("worker_main.py")
_PATIENCE_PER_IMAGE_S = 10.0


class Worker:
    """The process of one variant; it can be started again after it was closed.

    At the start it decides on the first image. `patience_s` is the longest wait for an answer,
    besides 10 s for each image asked for.
    """

    def __init__(
        self, variant: Variant, inspector: Path, images: Sequence[str], patience_s: float = 600.0
    ) -> None:
        self.variant = variant
        self._patience_s = patience_s
        self._job = {
            "inspector": str(inspector),
            "images": list(images),
            "threads": variant.threads,
            **asdict(variant.choice),
        }
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] | None = None

    def start(self) -> float:
        """Start the process; return the seconds from here to its first decision.

        Raises:
            RuntimeUnavailable: The process ended, with its last line, or does not answer.
        """
        self.close()
        self._errors = tempfile.TemporaryFile(  # noqa: SIM115 -- until `close`
            "w+", encoding="utf-8", errors="replace"
        )
        began = time.perf_counter()
        # -P: the folder of the file must not come before the standard library
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
        )
        self._exchange(self._job)
        return time.perf_counter() - began

    def ask(self, kind: str, **request: float) -> Any:  # noqa: ANN401 -- whatever JSON holds
        """Have it time itself once; see `sihwa.benchmark.timing.Timer`, `time_<kind>`.

        Raises:
            RuntimeUnavailable: As of `start`.
        """
        return self._exchange({"time": kind, **request})

    def close(self) -> None:
        """Kill the process, also in the middle of a measurement."""
        process, self._process = self._process, None
        errors, self._errors = self._errors, None
        if process is not None:
            process.kill()
            with contextlib.suppress(OSError):
                process.communicate()
        if errors is not None:
            errors.close()

    def _exchange(self, message: dict[str, Any]) -> Any:  # noqa: ANN401
        process, errors = self._process, self._errors
        assert process is not None, "start it first"
        assert errors is not None
        assert process.stdin is not None
        assert process.stdout is not None
        patience_s = self._patience_s + _PATIENCE_PER_IMAGE_S * message.get("count", 0)
        is_late = threading.Event()

        def give_up() -> None:
            is_late.set()
            process.kill()

        alarm = threading.Timer(patience_s, give_up)
        alarm.daemon = True
        alarm.start()
        try:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        finally:
            alarm.cancel()
        if is_late.is_set():
            raise RuntimeUnavailable(f"its process did not answer for {patience_s:,.0f} s")
        if not line.endswith("\n"):
            code = process.wait()
            errors.seek(0)
            raise RuntimeUnavailable(f"its process ended: {last_line(errors.read(), code)}")
        return json.loads(line)


def last_line(errors: str, code: int) -> str:
    """Return the last line of a process's standard error, and its exit code.

    >>> last_line("", -9)
    'no message (exit code -9)'
    """
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return f"{lines[-1][-300:] if lines else 'no message'} (exit code {code})"
