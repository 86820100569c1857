import pytest
import torch
from superb_tones import write_corpus


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """The folder of a corpus of tones."""
    root = tmp_path_factory.mktemp("tones")
    write_corpus(root)
    return root
