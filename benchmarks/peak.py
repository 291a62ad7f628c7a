"""Prints the peak resident memory of a command, in KiB: `python benchmarks/peak.py COMMAND WORD…`.

A process of its own, because Linux lets a new one inherit in `ru_maxrss` what its parent held; this
one holds little. On Linux; macOS counts bytes there.
"""

import resource
import subprocess
import sys

if __name__ == "__main__":
    status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    sys.exit(status)
