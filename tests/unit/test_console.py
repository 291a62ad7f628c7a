import subprocess
import sys

# in a process of its own: what runs these tests, and what ran before, has handlers of its own
_PROGRAM = """
import os, signal
from sihwa.console import interrupted_later
signal.signal(signal.SIGINT, signal.{handler})
try:
    with interrupted_later():
        os.kill(os.getpid(), signal.SIGINT)
        print("the rest of the block")
    print("after it")
except KeyboardInterrupt:
    print("interrupted")
print(signal.getsignal(signal.SIGINT) is signal.{handler})
"""


def _said(handler: str) -> list[str]:
    program = [sys.executable, "-c", _PROGRAM.format(handler=handler)]
    done = subprocess.run(program, capture_output=True, check=True, encoding="utf-8")
    return done.stdout.splitlines()


def test_interrupted_later_lets_the_block_end_first() -> None:
    assert _said("default_int_handler") == ["the rest of the block", "interrupted", "True"]


def test_interrupted_later_leaves_another_handler_alone() -> None:
    assert _said("SIG_IGN") == ["the rest of the block", "after it", "True"]
