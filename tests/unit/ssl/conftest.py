import numpy as np
import pytest

from secateur.models.upstream.config import EncoderConfig
from secateur.speech.datadir import Utterance, write_data_dir

soundfile = pytest.importorskip("soundfile")

TINY = EncoderConfig(
    hidden_size=12,
    num_hidden_layers=3,
    num_attention_heads=3,
    intermediate_size=20,
    hidden_dropout=0.1,
    activation_dropout=0.0,
    attention_dropout=0.1,
    conv_dim=(6, 8, 8),
    conv_stride=(16, 5, 4),
    conv_kernel=(20, 6, 4),
    num_conv_pos_embeddings=5,
    num_conv_pos_embedding_groups=2,
    num_buckets=8,
    max_bucket_distance=10,
)


def made_up(seconds, seed):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * 16000)).astype(np.float32)


@pytest.fixture
def tiny():
    """The configuration of a small encoder."""
    return TINY


@pytest.fixture
def noise():
    """Makes samples of so many seconds from a seed."""
    return made_up


@pytest.fixture
def speech(tmp_path):
    """Data directories `train` and `dev`: whole recordings of 0.4 to 1.3 s, and segments of one."""
    for split, start in (("train", 0), ("dev", 20)):
        utterances = []
        for index in range(6):
            path, seconds = tmp_path / f"{split}{index}.wav", 0.4 + 0.18 * index
            soundfile.write(path, made_up(seconds, start + index), 16000, subtype="FLOAT")
            utterances.append(Utterance(f"{split}-{index}", str(path), "a", "s", "en", seconds))
        write_data_dir(tmp_path / split, utterances)
    path = tmp_path / "long.wav"
    soundfile.write(path, made_up(3.0, 99), 16000, subtype="PCM_16")
    pieces = [
        Utterance(f"seg-{index}", str(path), "b", "s", "fr", 0.7, start, start + 0.7, "long")
        for index, start in enumerate((0.0, 0.5, 2.25))
    ]
    write_data_dir(tmp_path / "segmented", pieces)
    return tmp_path
