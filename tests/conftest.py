"""Settings of all tests, and sources of the package in another folder."""

import os

import pytest
from hypothesis import settings

from secateur.core import provenance

settings.register_profile("no clock", deadline=None)  # machines are busy: no test is about time
settings.load_profile("no clock")


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU where none is visible; torch is loaded only if there are such tests."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked or "SECATEUR_GPU_TESTS_ON" in os.environ:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no GPU is visible"))


@pytest.fixture
def fingerprints_of(monkeypatch):
    """Takes fingerprints of the sources in a folder. It gives a function that forgets what was read of them.

    Afterwards everything is forgotten: other tests must not read files that are gone.
    """

    def forget():
        for cached in (provenance.fingerprint, provenance._parsed, provenance._module_files, provenance._version):
            cached.cache_clear()

    def move(folder):
        monkeypatch.setattr(provenance, "PACKAGE_ROOT", folder)
        forget()
        return forget

    yield move
    forget()
