"""Every task from SUPERB's own folders: trained and tested end to end, and refused where a part is missing."""

import shutil
from pathlib import Path

import pytest
import superb_folders as folders
import torch
from superb_tones import NO_SPECAUG, TRAINING, Hears

from secateur.core.errors import SecateurError
from secateur.ssl.tasks import module
from secateur.ssl.tasks.fit import Fit
from secateur.ssl.tasks.hidden import Hidden
from secateur.ssl.tasks.run import run

QUICK = TRAINING | {"select": "metric", "beta2": 0.999}
POOLED = {"projection": 16, "normalize": False, "balance": False, "training": QUICK}
CTC = QUICK | {"steps": 300, "learning_rate": 0.03, "clips": 16, "schedule": "constant", "evaluate_every": 100}
RECURRENT = {"projection": 16, "stack": 1, "layers": 1, "hidden": 16, "dropout": 0.0, "normalize": False,
             "specaug": NO_SPECAUG | {"time_frames": 2, "time_masks": 1, "time_warp": 1}, "training": CTC}  # fmt: skip
CROPPED = {"max_seconds": 0.6, "crop": "random"}
TASKS = {
    "ks": (folders.speech_commands, POOLED | {"balanced": True, "training": QUICK | {"steps": 300}}, "acc", (90, 100)),
    "ic": (folders.fluent, POOLED, "acc", (100, 100)),
    "pr": (folders.librispeech, {"projection": 32, "normalize": False, "training": CTC}, "per", (0, 50)),
    "asr": (folders.librispeech, RECURRENT | {"search": None, "lm": None}, "wer", (0, 60)),
    "er": (folders.iemocap, POOLED, "acc", (100, 100)),
    "qbe": (folders.quesst, {}, "mtwv", (60, 100)),
    "sf": (folders.snips, RECURRENT, "f1", (50, 100)),
    "sid": (folders.voxceleb, POOLED | CROPPED, "acc", (100, 100)),
    "sv": (
        folders.voxceleb,
        CROPPED
        | {"min_seconds": 0.5, "projection": 16, "hidden": 16, "pooled": 32, "scale": 30.0, "margin": 0.4}
        | {"normalize": False, "training": QUICK | {"learning_rate": 0.003, "clips": 4, "select": "loss"}},
        "eer",
        (0, 50),
    ),
    "sd": (
        folders.libri2mix,
        {"max_seconds": 0.9, "hidden": 32, "normalize": False, "training": QUICK | {"learning_rate": 0.01, "clips": 6}},
        "der",
        (0, 15),
    ),
}


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_trained_and_tested_on_its_corpus_in_its_own_layout(task, tmp_path):
    write, options, metric, (low, high) = TASKS[task]
    options = {"source": "official"} | write(tmp_path / "corpus") | options
    cpu = torch.device("cpu")
    hidden, fit = Hidden(Hears(), cpu), Fit(1, cpu, tmp_path / "state", task)
    found = run({task: options}, {}, hidden, fit)[task]
    assert low <= found["metrics"][metric]["value"] <= high, found["metrics"]
    scored = {name for name, value in found["metrics"].items() if value["scored"]}
    assert scored == {metric}


MISSING = [
    ("ks", "speech_commands_v0.01/_background_noise_", "no recordings of _background_noise_ for train"),
    ("ks", "speech_commands_v0.01/yes", "no recordings of yes for train"),
    ("ks", "speech_commands_test_set_v0.01/_unknown_", "no recordings of _unknown_ for test"),
    ("ks", "speech_commands_test_set_v0.01", "speech_commands_test_set_v0.01.*no such folder"),
    ("ic", "data/valid_data.csv", "valid_data.csv: no such file"),
    ("ic", "wavs/speakers/ann/anntrain0.wav", "anntrain0.wav"),
    ("pr", "dev-clean", "dev-clean: no transcripts in it"),
    ("asr", "test-clean/61/70/61-70.trans.txt", "test-clean: no transcripts in it"),
    ("asr", "train-clean-100/19/198/19-198-0003.flac", "19-198-0003.flac"),
    ("er", "Session3", "Session3: no dialog/EmoEvaluation"),
    ("er", "Session2/sentences/wav/Ses02F_impro01/Ses02F_impro01_F000.wav", "Ses02F_impro01_F000.wav"),
    ("qbe", "scoring/language_key_eval.lst", "language_key_eval.lst: no such file"),
    ("qbe", "scoring/groundtruth_quesst14_dev", "quesst14_dev.rttm: no such file"),
    ("qbe", "Audio/quesst14_00003.wav", "quesst14_00003.wav"),
    ("sf", "all.iob.snips.txt", "all.iob.snips.txt: no such file"),
    ("sf", "valid", "valid: no recordings of Aditi, Amy"),
    ("sid", "iden_split.txt", "iden_split.txt: no such file"),
    ("sid", "dev/wav/id10002/video1", "no dev/wav/id10002/video1/00001.wav"),
    ("sv", "veri_test2.txt", "veri_test2.txt: no such file"),
    ("sv", "test", "no dev/wav/id10270/video0/00001.wav or test/wav"),
    ("sv", "dev", "no recordings of two speakers"),
    ("sd", "dev/segments", "dev: no segments in it"),
    ("sd", "test/utt2spk", "utt2spk"),
    ("sd", "wavs/train/train-198-0004_26-495-0004.wav", "train-198-0004_26-495-0004.wav"),
]


@pytest.mark.parametrize(("task", "part", "message"), MISSING)
def test_a_folder_that_lacks_a_part_is_refused_with_what_is_missing(task, part, message, tmp_path):
    write, options, *_ = TASKS[task]
    options = {"source": "official"} | write(tmp_path / "corpus") | options
    path = Path(tmp_path / "corpus" / part)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(SecateurError, match=message) as caught:
        data = module(task).official(options)
        for clip in data.clips:
            clip.samples()
    assert "\n" not in str(caught.value)
