import contextlib
import signal
import threading

import pytest
import torch
from sihwa.terminal.interrupts import heed_interrupts
from torch import nn

from sihwa.model import export_activation
from sihwa.terminal.console import loading


def press() -> None:
    handler = signal.getsignal(signal.SIGINT)
    assert callable(handler)
    handler(signal.SIGINT, None)  # as Python does when Ctrl-C is pressed


def lose_interrupt() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        press()


def test_heed_interrupts_raises_one_that_was_lost() -> None:
    with pytest.raises(KeyboardInterrupt), heed_interrupts():
        lose_interrupt()


def test_heed_interrupts_raises_one_that_became_another_error() -> None:
    def trace() -> None:
        lose_interrupt()
        raise TypeError

    with pytest.raises(KeyboardInterrupt), heed_interrupts():
        trace()


def test_heed_interrupts_does_not_wait_for_the_end() -> None:
    passed = []

    def work() -> None:
        press()
        passed.append("the interrupt")

    with pytest.raises(KeyboardInterrupt), heed_interrupts():
        work()
    assert not passed


def test_heed_interrupts_leaves_other_errors_and_the_handler_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    with heed_interrupts():
        pass
    with pytest.raises(TypeError, match="of the library"), heed_interrupts():
        raise TypeError("of the library")
    assert signal.getsignal(signal.SIGINT) is before


def test_heed_interrupts_and_loading_leave_a_background_job_alone() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for guard in (heed_interrupts, loading):
            with guard():
                assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_heed_interrupts_may_be_used_in_a_thread() -> None:
    done = []

    def work() -> None:
        with heed_interrupts():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done


def test_export_activation_interrupted_inside_the_exporter_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def export(*_: object, **__: object) -> None:
        lose_interrupt()
        raise RuntimeError("no way of tracing this network works")

    monkeypatch.setattr(torch.onnx, "export", export)
    with pytest.raises(KeyboardInterrupt):
        export_activation(nn.Identity())
