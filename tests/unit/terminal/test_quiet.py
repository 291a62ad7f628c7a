import logging
import warnings

import pytest

from sihwa.terminal.quiet import quieten


def test_quieten_hides_warnings_and_named_loggers_for_as_long_as_it_lasts(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    chatty, other = logging.getLogger("chatty"), logging.getLogger("other")

    def speak(word: str) -> None:
        chatty.error("%s chatty", word)
        other.error("%s other", word)
        warnings.warn(word, stacklevel=1)

    with quieten("chatty"):
        speak("within")
    speak("after")
    assert caplog.messages == ["within other", "after chatty", "after other"]
    assert [str(one.message) for one in recwarn] == ["after"]


def test_quieten_lets_errors_through_and_speaks_again_after_them() -> None:
    with pytest.raises(ValueError, match="wrong"), quieten("chatty"):
        raise ValueError("wrong")
    assert logging.getLogger("chatty").level == logging.NOTSET
