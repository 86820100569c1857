"""Settings of all tests, and sources of the package in another folder."""

import pytest
from hypothesis import settings

from secateur.core import provenance

settings.register_profile("no clock", deadline=None)  # machines are busy: no test is about time
settings.load_profile("no clock")


@pytest.fixture
def fingerprints_of(monkeypatch):
    """Takes fingerprints of the sources in a folder. It gives a function that forgets what was read of them.

    Afterwards everything is forgotten: other tests must not read files that are gone.
    """

    def forget():
        for cached in (provenance._parsed, provenance._module_files, provenance._version):
            cached.cache_clear()

    def move(folder):
        monkeypatch.setattr(provenance, "PACKAGE_ROOT", folder)
        forget()
        return forget

    yield move
    forget()
