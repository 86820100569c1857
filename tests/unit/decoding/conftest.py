import pytest

from secateur.decoding import recognize


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until the test moves it."""

    class Clock:
        now = 0.0

        def advance(self, seconds):
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(recognize.time, "perf_counter", lambda: clock.now)
    return clock
