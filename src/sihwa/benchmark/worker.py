"""One variant in a process of its own: it decides once, then times itself on command.

A process each, because thread counts and thread pools belong to the whole process, a pool that
spins while another variant is timed would slow it, and because start-up and memory can be told of
a process only. This file is run by its path, so that nothing but what an inspection needs is
imported before the first decision.

Requests and answers are lines of JSON on standard input and output, one answer to each request.
The end of the input ends the process.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import IO, Any

from sihwa.inspector import load_inspector


def main() -> None:
    """Load what the first line names, decide on one image, answer requests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
    answers = _own_output()
    job = json.loads(sys.stdin.readline())
    inspector = load_inspector(
        job["inspector"],
        runtime=job["runtime"],
        device=job["device"],
        precision=job["precision"],
        threads=job["threads"],
    )
    [first] = inspector.predict(job["images"][0])
    _answer(answers, {"decision": first.decision.outcome})

    from sihwa.benchmark.timing import Timer

    peak_mib = peak_memory_mib()
    timer = Timer(inspector, job["images"])
    for line in sys.stdin:
        request = json.loads(line)
        kind = request.pop("time")
        if kind == "memory":
            most = peak_memory_mib()
            kept_mib = timer.kept_bytes / 2**20
            all_mib = None if most is None else max(peak_mib or 0.0, most - kept_mib)
            _answer(answers, {"first_mib": peak_mib, "all_mib": all_mib})
        else:
            _answer(answers, getattr(timer, f"time_{kind}")(**request))


def peak_memory_mib() -> float | None:
    """Return the most memory that this process ever held, in MiB; None where nobody tells.

    Linux's `ru_maxrss` is not used: a new process inherits in it what its parent held.
    """
    try:
        for line in Path("/proc/self/status").read_text("utf-8", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return None


def _own_output() -> IO[str]:
    """Keep standard output for answers; what libraries print there goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _answer(answers: IO[str], value: Any) -> None:  # noqa: ANN401 -- whatever JSON holds
    answers.write(json.dumps(value) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
