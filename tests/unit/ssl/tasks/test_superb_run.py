"""All tasks from end to end: what hears the tones solves them, what is deaf does not."""

import importlib.util
from argparse import Namespace

import pytest
import torch
from superb_tones import RECOGNITION, RECURRENT, VOICE_OF, Deaf, Hears, options

from secateur.core.files import read_json
from secateur.core.jobs import LEFT_OVER
from secateur.ssl.tasks import Data, Item, pr, prompts, sf
from secateur.ssl.tasks.fit import Fit
from secateur.ssl.tasks.hidden import Hidden
from secateur.ssl.tasks.run import load, run
from secateur.statistics import bootstrap

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(bootstrap, "DRAWS", 50)


@pytest.fixture(scope="module")
def read(corpus):
    return prompts.read(corpus, VOICE_OF)


def values(upstream, read, folder, tasks):
    found = run(tasks, read, Hidden(upstream, CPU), Fit(1, CPU, folder, "x"))
    return {name: next(iter(each["metrics"].values()))["value"] for name, each in found.items()}


def test_a_good_upstream_solves_the_tasks_and_a_deaf_one_does_not(read, tmp_path):
    hears = values(Hears(), read, tmp_path / "hears", options())
    deaf = values(Deaf(), read, tmp_path / "deaf", options())
    assert list(hears) == ["ks", "ic", "asr", "qbe", "sid", "sv", "sd"]
    assert hears["sid"] == 100.0 and deaf["sid"] < 60
    assert hears["asr"] < 40 and deaf["asr"] > 80
    assert hears["qbe"] > 50 and deaf["qbe"] < 20
    assert hears["sv"] < 15 and deaf["sv"] > 25
    assert hears["sd"] < 30 and deaf["sd"] > 38
    # Of six test clips, words that share their letters, KS and IC only show that they run.
    assert all(0 <= each[name] <= 100 for each in (hears, deaf) for name in ("ks", "ic"))


def test_phonemes_and_slots_are_recognised_by_what_hears(read, tmp_path):
    """PR's linear classifier of frames, and SF's scores, on letters in place of phonemes."""
    spoken = load("asr", options()["asr"], read)

    def data(make):
        return Data({split: [Item(i.clip, make(i.target[0])) for i in items] for split, items in spoken.items.items()})

    hidden, fit = Hidden(Hears(), CPU), Fit(1, CPU, tmp_path, "x")
    linear = {"projection": 16, "normalize": False, "training": RECOGNITION}
    assert pr.run(data(tuple), hidden, fit, linear).metrics["per"].value < 50
    deaf = pr.run(data(tuple), Hidden(Deaf(), CPU), Fit(1, CPU, tmp_path / "deaf", "x"), linear)
    assert deaf.metrics["per"].value > 80

    def tag(text):
        words = text.split()
        return sf.tagged(words, ["B-first"] + ["O"] * (len(words) - 1))

    slots = sf.run(data(tag), hidden, fit, RECURRENT | {"training": RECOGNITION})
    assert slots.metrics["f1"].value > 60 and slots.metrics["cer"].value < 50


def test_weighted_sums_listen_to_the_layer_that_hears(read, tmp_path):
    found = run({"sid": options()["sid"]}, read, Hidden(Hears(), CPU), Fit(1, CPU, tmp_path, "x"))
    silent, heard = found["sid"]["details"]["layer_shares"]
    assert heard > silent


class Killed(Exception):
    pass


def test_killed_and_resumed_gives_the_same_scores(read, tmp_path, monkeypatch):
    from secateur.ssl.tasks import fit as fitting

    tasks = {name: options()[name] for name in ("asr", "sid")}
    for each in tasks.values():
        each["training"] = each["training"] | {"checkpoint_seconds": 0, "steps": 30, "evaluate_every": 10}
    whole = run(tasks, read, Hidden(Hears(), CPU), Fit(3, CPU, tmp_path / "whole", "x"))
    load_batch, count = fitting.Examples.load, iter(range(1000))

    def dying(self, keys):
        if next(count) == 17:
            raise Killed
        return load_batch(self, keys)

    monkeypatch.setattr(fitting.Examples, "load", dying)
    with pytest.raises(Killed):
        run(tasks, read, Hidden(Hears(), CPU), Fit(3, CPU, tmp_path / "cut", "x"))
    monkeypatch.setattr(fitting.Examples, "load", load_batch)
    resumed = run(tasks, read, Hidden(Hears(), CPU), Fit(3, CPU, tmp_path / "cut", "x"))
    for each in (*whole.values(), *resumed.values()):
        del each["seconds"]
    assert resumed == whole
    other = run(tasks, read, Hidden(Hears(), CPU), Fit(4, CPU, tmp_path / "other", "x"))
    assert other["asr"]["details"]["layer_shares"] != whole["asr"]["details"]["layer_shares"]


def test_the_script_writes_scores_of_log_mel_features(corpus, tmp_path):
    script = importlib.import_module("secateur.scripts.superb_task")
    tasks = {"sid": options()["sid"]}
    tasks["sid"]["training"] = tasks["sid"]["training"] | {"learning_rate": 0.03, "heads": 2}
    arguments = Namespace(upstream="fbank", tasks=tasks, data=corpus, languages=list(VOICE_OF), splits={}, memory=1.0,
                          rate=50.0, seed=1, device="cpu", output=tmp_path, random=False)  # fmt: skip
    record = {}
    script.run(arguments, record)
    scores = read_json(tmp_path / "scores.json")
    sid = scores["tasks"]["sid"]
    assert sid["metrics"]["acc"]["value"] == 100.0 and sid["metrics"]["acc"]["chance"] == 25.0
    assert sid["metrics"]["acc"]["higher_is_better"] is True
    assert sid["clips"] == {"train": 48, "dev": 16, "test": 24}
    assert len(sid["details"]["heads"]["acc"]) == 2 and len(sid["metrics"]["acc"]["draws"]) == 50
    assert sid["metrics"]["acc"]["scored"] is False and sid["notes"].startswith("voice and language")
    assert record["seed"] == 1 and record["audio_seconds_encoded"] > 10


def test_an_entry_without_tasks_leaves_no_scores_and_nothing_behind(tmp_path):
    script, record = importlib.import_module("secateur.scripts.superb_task"), {}
    script.run(Namespace(upstream="fbank", tasks={}, data=None, languages=[], splits={}, memory=1.0, rate=None, seed=1,
                         device="cpu", output=tmp_path, random=False), record)  # fmt: skip
    record[LEFT_OVER]()
    assert read_json(tmp_path / "scores.json")["tasks"] == {}


def test_an_encoder_with_random_weights_is_like_the_one_in_the_folder(tmp_path):
    from secateur.models.upstream.config import EncoderConfig
    from secateur.models.upstream.encoder import Encoder
    from secateur.ssl.checkpoints import save_encoder

    script = importlib.import_module("secateur.scripts.superb_task")
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    config = EncoderConfig(**sizes, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, front_end="mel")
    torch.manual_seed(0)
    save_encoder(tmp_path, Encoder(config))
    own, again = (script.upstream(str(tmp_path), CPU) for _ in range(2))
    torch.manual_seed(1)
    random = script.upstream(str(tmp_path), CPU, random=True)
    assert random.config == own.config and not any(each.requires_grad for each in random.parameters())
    weights = [each.feature_projection.projection.weight for each in (own, again, random)]
    assert torch.equal(weights[0], weights[1]) and not torch.isclose(weights[0], weights[2]).any()
