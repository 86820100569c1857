import pytest

from secateur.decoding import search as registry


@pytest.fixture(autouse=True)
def flashlight(monkeypatch):
    """Whether flashlight-text is installed: pretend that it is, also where Python is too new for it."""
    found = {"flashlight": True}
    monkeypatch.setattr(registry, "find_spec", found.get)
    return found
