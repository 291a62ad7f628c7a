import os
import signal

import pytest

from sihwa.console import interrupted_later


def test_interrupted_later_lets_the_block_end_first() -> None:
    done: list[str] = []

    def interrupted_in_the_middle() -> None:
        with interrupted_later():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("the rest of the block")

    with pytest.raises(KeyboardInterrupt):
        interrupted_in_the_middle()
    assert done == ["the rest of the block"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupted_later_leaves_another_handler_alone() -> None:
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupted_later():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, old)
