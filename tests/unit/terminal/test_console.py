import logging
import warnings

import pytest

from sihwa.terminal.console import quieten


def test_quieten_hides_warnings_and_named_loggers_until_its_end(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    def speak(word: str) -> None:
        logging.getLogger("chatty").error("%s chatty", word)
        logging.getLogger("other").error("%s other", word)
        warnings.warn(word, stacklevel=1)

    def fail() -> None:
        speak("within")
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"), quieten("chatty"):
        fail()
    speak("after")
    assert caplog.messages == ["within other", "after chatty", "after other"]
    assert [str(one.message) for one in recwarn] == ["after"]
