"""What holds for all tests."""

import os
import signal

import pytest

# A job that a script runs in the background is started with Ctrl-C ignored, and hands that on to the processes that the
# tests start; what is tested is a program in the foreground.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def state_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Commands under test keep their state where the tests keep theirs, and not at the user's."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
