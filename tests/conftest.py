"""Settings of all tests."""

from hypothesis import settings

settings.register_profile("no clock", deadline=None)  # machines are busy: no test is about time
settings.load_profile("no clock")
