"""Tasks against s3prl's own code, where s3prl is installed (`pip install --no-deps s3prl==0.4.18`, and editdistance).

Splits of corpora want torchaudio, too, of which its Python suffices.
"""

import sys
from pathlib import Path
from types import ModuleType

import pytest
import superb_folders as folders
import torch

pytest.importorskip("s3prl", exc_type=ImportError)
from s3prl.downstream.asr.model import RNNs
from s3prl.downstream.ctc.metric import slot_type_f1, slot_value_cer
from s3prl.downstream.ctc.text import CharacterTextSlotEncoder
from s3prl.downstream.diarization.utils import calc_diarization_error, get_label_perm, pit_loss
from s3prl.downstream.sv_voxceleb1 import model as verification

from secateur.ssl.tasks import module, sf
from secateur.ssl.tasks.heads import Diarization, RecurrentCTC, XVector

CHARACTERS = [" ", "'", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
SLOTS = ["artist", "album", "city"]
LINES = [
    ("PLAY PRINCE", "O artist"),
    ("PLAY PURPLE RAIN BY PRINCE", "O album album O artist"),
    ("R & B , IN ROME !", "album album album O O city O"),
    ("ADD - IT", "O album album"),
    ("ROME PARIS", "city city"),
    ("NOTHING HERE .", "O O O"),
]


def encoder():
    return CharacterTextSlotEncoder(CHARACTERS, [f"{end}-{slot}" for slot in SLOTS for end in "BE"])


def written(symbols):
    """Our symbols as s3prl decodes its tokens."""
    return "".join(f"{each} " if each[:2] == "B-" else f" {each}" if each[:2] == "E-" else each for each in symbols)


@pytest.mark.parametrize(("words", "tags"), LINES)
def test_snips_is_read_as_s3prl_reads_it(words, tags):
    theirs = encoder()
    tokens = theirs.encode(f"BOS {words} EOS\tO {tags} PlayMusic")
    ours = sf.tagged(words.split(), tags.split())
    assert written(ours) == theirs.decode(tokens)


def test_slots_are_scored_as_s3prl_scores_them():
    said = [sf.tagged(words.split(), tags.split()) for words, tags in LINES]
    generator = torch.Generator().manual_seed(0)
    for share in (0.0, 0.1, 0.3):
        heard = [tuple(each for each in symbols if torch.rand((), generator=generator) >= share) for symbols in said]
        texts = [written(each) for each in heard], [written(each) for each in said]
        f1 = sum(sf.slot_f1(sf.slots(a), sf.slots(b)) for a, b in zip(said, heard, strict=True)) / len(said)
        assert f1 == pytest.approx(slot_type_f1(*texts))
        wrong, total = map(
            sum,
            zip(*(sf.value_errors(sf.slots(a), sf.slots(b)) for a, b in zip(said, heard, strict=True)), strict=True),
        )
        assert wrong / total == pytest.approx(slot_value_cer(*texts))


def test_the_recurrent_head_is_s3prls():
    torch.manual_seed(0)
    theirs = RNNs(6, 9, 320, "LSTM", True, [5, 5], [0.2, 0.2], [False] * 2, [False] * 2, [1, 1], "concat", -1).eval()
    masks = {"frequency_masks": 0, "frequency_width": 0, "time_masks": 0, "time_width": 0.0}
    options = {"projection": 6, "hidden": 5, "layers": 2, "dropout": 0.2, "stack": 1, "normalize": False}
    ours = RecurrentCTC(1, 4, 9, options | {"specaug": masks}).eval()
    with torch.no_grad():
        for mine, other in zip(ours.recurrent, theirs.rnns, strict=True):
            for half, suffix in ((mine.ahead, ""), (mine.back, "_reverse")):
                for name, value in half.named_parameters():
                    value.copy_(getattr(other.layer, name + suffix))
        ours.classifier.weight.copy_(theirs.linear.weight)
        ours.classifier.bias.copy_(theirs.linear.bias)
        hidden, lengths = torch.randn(2, 1, 7, 4), torch.tensor([7, 5])
        wanted, _ = theirs(ours.projector(hidden[:, 0]), lengths)
        found, _ = ours.logits(hidden, lengths)
    for row, want, length in zip(found, wanted, lengths, strict=True):
        torch.testing.assert_close(row[:length], want[:length], rtol=1e-4, atol=1e-5)


def test_the_loss_and_the_measure_of_diarization_are_s3prls():
    torch.manual_seed(0)
    head = Diarization(1, 3, 2, {"hidden": 4, "normalize": False}).eval()
    hidden, lengths = torch.randn(3, 1, 9, 3), torch.tensor([9, 6, 4])
    activity = (torch.rand(3, 9, 2) > 0.5).float()
    logits = head.logits(hidden).detach()
    wanted, places, orders = pit_loss(logits, activity, lengths)
    assert head(hidden, lengths, activity)[0].item() == pytest.approx(wanted.item(), rel=1e-5)
    head.measured = True
    shares = []
    for each in range(3):  # s3prl measures dev clips one by one
        part = slice(each, each + 1)
        labels = get_label_perm(activity[part], places[part], orders)
        correct, frames, *_ = calc_diarization_error(logits[part], labels, lengths[part])
        shares.append(correct / frames)
    assert head(hidden, lengths, activity)[0].item() == pytest.approx(1 - sum(shares) / 3, rel=1e-5)


def test_the_loss_of_verification_is_s3prls():
    torch.manual_seed(0)
    options = {"projection": 4, "hidden": 4, "pooled": 6, "scale": 30.0, "margin": 0.4, "normalize": False}
    ours = XVector(1, 3, 5, options).eval()
    theirs = verification.AMSoftmaxLoss(4, 5)
    with torch.no_grad():
        theirs.W.copy_(ours.speakers.T)
    hidden, lengths, labels = torch.randn(6, 1, 30, 3), torch.full((6,), 30), torch.tensor([0, 3, 1, 4, 2, 2])
    vectors = ours.last(ours.embed(hidden, lengths)).relu()
    wanted = theirs(vectors, labels)
    torch.testing.assert_close(ours(hidden, lengths, labels[:, None])[0], wanted, rtol=1e-4, atol=1e-5)


def names(paths, parts):
    """The last parts of paths, in order."""
    return sorted("/".join(Path(path).parts[-parts:]) for path in paths)


def heard(items):
    return [item.clip.parts[0].audio for item in items]


def test_clips_of_keywords_are_s3prls(tmp_path, monkeypatch):
    """Splits and classes, of a folder as Speech Commands is unpacked."""
    pytest.importorskip("torchaudio.sox_effects", exc_type=ImportError)
    for name in ("catalyst", "catalyst.data", "catalyst.data.sampler"):  # for several GPUs
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["catalyst.data.sampler"].DistributedSamplerWrapper = object
    from s3prl.downstream.speech_commands import dataset, expert

    options = folders.speech_commands(tmp_path)
    train, dev = expert.split_dataset(options["root"])
    theirs = {
        "train": dataset.SpeechCommandsDataset(train, speech_commands_root=options["root"]),
        "dev": dataset.SpeechCommandsDataset(dev, speech_commands_root=options["root"]),
        "test": dataset.SpeechCommandsTestingDataset(speech_commands_test_root=options["test_root"]),
    }
    ours = module("ks").official({"source": "official"} | options)
    for split, found in theirs.items():
        wanted = sorted((label, *names([path], 2)) for label, path in found.data)
        items = ours.items[split]
        assert sorted((item.target[0], *names(heard([item]), 2)) for item in items) == wanted and wanted


def test_clips_of_speakers_are_s3prls(tmp_path, monkeypatch):
    """Splits of VoxCeleb1 as `iden_split.txt` has them."""
    pytest.importorskip("torchaudio.sox_effects", exc_type=ImportError)
    from s3prl.downstream.voxceleb1 import dataset

    monkeypatch.setattr(dataset, "CACHE_PATH", str(tmp_path / "cache"))
    options = folders.voxceleb(tmp_path / "corpus")
    ours = module("sid").official({"source": "official", "max_seconds": 8, "crop": "random"} | options)
    for split in ("train", "dev", "test"):
        theirs = dataset.SpeakerClassifiDataset(split, Path(options["root"]), options["split_file"])
        assert names(heard(ours.items[split]), 3) == names(theirs.dataset, 3) != []
