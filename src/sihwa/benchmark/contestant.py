"""A variant as the benchmark sees it: a process that is started, asked and ended."""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from sihwa.benchmark.variant import Variant
from sihwa.errors import RuntimeUnavailable

_WORKER = Path(__file__).with_name("worker.py")
_PATIENCE_S = 600.0
_PATIENCE_S_A_IMAGE = 10.0
"""For an answer: a slow machine loads, or decides, in far less; one that hangs is left behind."""


class Contestant(Protocol):
    """One variant, ready to be timed."""

    variant: Variant

    def start(self) -> float:
        """Start it, and return the seconds until its first decision."""
        ...

    def ask(self, kind: str, **request: float) -> Any:  # noqa: ANN401 -- whatever JSON holds
        """Have it time itself once; see `sihwa.benchmark.timing.Timer`, `time_<kind>`."""
        ...

    def close(self) -> None:
        """End it; it can be started again."""
        ...


class ProcessContestant:
    """A variant in a process of its own.

    Args:
        variant: Which.
        inspector: The inspector folder, or its .onnx file.
        images: Readable image files; the first is decided at the start.
        patience_s: Longest wait for an answer, besides 10 s for each image asked for.
    """

    def __init__(
        self,
        variant: Variant,
        inspector: Path,
        images: Sequence[str],
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self.variant = variant
        self._patience_s = patience_s
        choice = variant.choice
        self._job = {
            "inspector": str(inspector),
            "runtime": choice.runtime,
            "device": choice.device,
            "precision": choice.precision,
            "threads": variant.threads,
            "images": list(images),
        }
        self._process: subprocess.Popen[str] | None = None
        self._complaints: IO[str] | None = None

    def start(self) -> float:
        """Start the process; return the seconds from here to its first decision.

        Raises:
            RuntimeUnavailable: The process has ended, with what it said last, or does not answer.
        """
        self.close()
        self._complaints = tempfile.TemporaryFile(  # noqa: SIM115 -- until `close`
            "w+", encoding="utf-8", errors="replace"
        )
        began = time.perf_counter()
        # -P: the folder of the file must not come before the standard library
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            encoding="utf-8",
        )
        self._exchange(self._job)
        return time.perf_counter() - began

    def ask(self, kind: str, **request: float) -> Any:  # noqa: ANN401
        """Send a request; return the answer.

        Raises:
            RuntimeUnavailable: The process has ended, with what it said last, or does not answer.
        """
        return self._exchange({"time": kind, **request})

    def close(self) -> None:
        """End the process, whatever it is doing."""
        process, self._process = self._process, None
        complaints, self._complaints = self._complaints, None
        if process is not None:
            process.kill()
            with contextlib.suppress(OSError):
                process.communicate()
        if complaints is not None:
            complaints.close()

    def _exchange(self, message: dict[str, Any]) -> Any:  # noqa: ANN401
        process = self._process
        assert process is not None, "start it first"
        assert process.stdin is not None
        assert process.stdout is not None
        patience_s = self._patience_s + _PATIENCE_S_A_IMAGE * message.get("count", 0)
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
            raise RuntimeUnavailable(f"its process ended: {self._last_words(process)}")
        return json.loads(line)

    def _last_words(self, process: "subprocess.Popen[str]") -> str:
        code = process.wait()
        assert self._complaints is not None
        self._complaints.seek(0)
        return how_it_ended(code, self._complaints.read())


def how_it_ended(code: int, complaints: str) -> str:
    """Return the last thing that a process said, and how it ended.

    >>> how_it_ended(-9, "")
    'it said nothing (killed by SIGKILL)'
    """
    lines = [line.strip() for line in complaints.splitlines() if line.strip()]
    return f"{lines[-1][-300:] if lines else 'it said nothing'} ({_manner(code)})"


def _manner(code: int) -> str:
    """Return how a process ended: a negative code is the signal that killed it.

    >>> _manner(1), _manner(-9)
    ('exit code 1', 'killed by SIGKILL')
    """
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
