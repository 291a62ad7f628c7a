"""The program of a `Worker`: it decides on one image, then times itself on request.

Each variant has its own process, because thread pools, start-up and memory belong to a process, and
a pool that spins would slow another variant. This file is run by its path, so that only what an
inspection needs is imported before the first decision.

Requests and answers are lines of JSON on standard input and output, one answer to each request.
The end of the input ends the process.
"""

import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from sihwa.inspector import load_inspector


def main() -> None:
    """Load what the first line names, decide on one image, answer requests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
    # what libraries print goes to standard error
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    job = json.loads(sys.stdin.readline())
    images = job.pop("images")
    inspector = load_inspector(job.pop("inspector"), **job)
    # the parent has decoded them all, within its limit
    inspector.decoding = replace(inspector.decoding, max_pixels=sys.maxsize)
    [first] = inspector.predict(images[0])
    _answer(answers, first.decision.outcome)

    from sihwa.benchmark.timing import Timer

    first_mib = peak_memory_mib()
    timer = Timer(inspector, images)
    for line in sys.stdin:
        request = json.loads(line)
        kind = request.pop("time")
        if kind == "memory":
            peak_mib = peak_memory_mib()
            if first_mib is not None and peak_mib is not None:
                # less the images that only timing keeps in memory
                peak_mib = max(first_mib, peak_mib - timer.kept_bytes / 2**20)
            _answer(answers, {"first_decision_mib": first_mib, "peak_mib": peak_mib})
        else:
            _answer(answers, getattr(timer, f"time_{kind}")(**request))


def peak_memory_mib() -> float | None:
    """Return the most memory that this process ever held; None where it is not reported.

    Linux's `ru_maxrss` is not used: a new process inherits in it what its parent held.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text("utf-8", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return None


def _answer(answers: IO[str], value: Any) -> None:  # noqa: ANN401 -- whatever JSON holds
    answers.write(json.dumps(value) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
