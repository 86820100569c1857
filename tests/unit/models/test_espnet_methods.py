"""What is done to models that ESPnet trained: layers of transducers, late regularisers, the cost of a language model.

The models and the speech are those of `tests/reference/espnet`.
"""

import copy
import json
from pathlib import Path

import pytest
import soundfile
import torch
from tiny import run_script

from secateur.core.files import read_tsv
from secateur.decoding.recognize import Recognizer, decode
from secateur.decoding.scoring import score
from secateur.layers.dev import Dev
from secateur.layers.search import search
from secateur.models import formats
from secateur.models.checkpoint import save_model
from secateur.models.surgery.layers import keep_layers, layer_numbers
from secateur.speech.data import Batch, pad
from secateur.speech.datadir import Utterance, read_table, write_data_dir
from secateur.speech.features import extract
from secateur.speech.front_ends import front_end
from secateur.speech.tokens import Tokenizer, take_tokens
from secateur.training.regularise import regularised, without_intermediate_ctc

REFERENCE = Path(__file__).parents[2] / "reference" / "espnet"
TRANSDUCER = {"type": "transducer_espnet", "algorithm": "default", "lm_weight": 0.0, "beam": 1}
BEAM = {"type": "beam", "beam": 3, "ctc_weight": 0.3, "lm_weight": 0.0, "length_bonus": 0.0}
WITH_LM = BEAM | {"lm": "lm", "lm_weight": 0.4}


class Speech:
    """Utterances of a split for a model of this kind, as `secateur.training.loop.Examples`."""

    def __init__(self, kind: str, split: str, count: int, folder: Path):
        found = formats.describe(REFERENCE / kind)
        take_tokens(folder, found.tokens, found.pieces)
        self.tokenizer = Tokenizer.load(folder / "tokens.txt")
        self.texts = dict(list(read_table(REFERENCE / f"speech/{split}/text").items())[:count])
        compute = front_end(found.features).compute
        self.features = {
            name: compute(soundfile.read(REFERENCE / f"speech/wav/{name}.flac", dtype="float32")[0])
            for name in self.texts
        }

    def load(self, names):
        features = [torch.from_numpy(self.features[name]) for name in names]
        texts = [torch.tensor(self.tokenizer.encode(self.texts[name])) for name in names]
        tensors = {
            "speech": pad(features, 0.0),
            "speech_lengths": torch.tensor([len(matrix) for matrix in features]),
            "text": pad(texts, -1),
            "text_lengths": torch.tensor([len(text) for text in texts]),
        }
        return Batch(list(names), [""] * len(names), tensors)

    def dev(self) -> Dev:
        names = list(self.texts)
        return Dev(self, [names[:2], names[2:]], self.texts, self.tokenizer)

    def heard(self, model, wanted: dict) -> dict[str, str]:
        found = decode(Recognizer(model, self.tokenizer), self.features, wanted)
        return {name: result.hypothesis for name, result in found.items()}

    def wer(self, model, wanted: dict) -> float:
        found = score(self.texts, self.heard(model, wanted))
        return 100 * sum(one.errors for one in found) / sum(one.words for one in found)


@pytest.mark.parametrize("objective", ["loss", "wer"])
def test_layers_of_a_transducer_are_ordered_by_its_own_loss_and_search(objective, tmp_path):
    """Every depth against a model from which the layers are gone, its utterances one at a time."""
    speech, model = (
        Speech("conformer-transducer", "dev", 5, tmp_path),
        formats.load(REFERENCE / "conformer-transducer").model,
    )
    model.eval()
    found = search(model, "greedy", speech.dev(), objective)
    layers = layer_numbers(model)
    assert sorted([*found["order_removed"], *found["depths"]["1"]["layers"]]) == layers
    rounds = {}
    with torch.inference_mode():
        for kept in [one["layers"] for one in found["depths"].values()]:
            smaller = keep_layers(copy.deepcopy(model), kept)
            parts = [smaller(**speech.load([name]).tensors)[1]["loss_transducer"] for name in speech.texts]
            rounds[len(kept)] = sum(map(float, parts)) / len(parts), speech.wer(smaller, TRANSDUCER)
    for depth, (loss, wer) in rounds.items():
        assert found["depths"][str(depth)]["dev_loss"] == pytest.approx(loss, rel=1e-3)
        if objective == "wer":
            assert found["depths"][str(depth)]["dev_wer"] == pytest.approx(wer)
    whole, one = rounds[len(layers)], rounds[1]
    assert whole[1] < 90 and one[0] > whole[0]
    assert len(set(speech.heard(model, TRANSDUCER).values())) > 3


def test_layers_of_a_transducer_go_on_demand(tmp_path):
    speech, whole = (
        Speech("conformer-transducer", "test", 6, tmp_path),
        formats.load(REFERENCE / "conformer-transducer").model,
    )
    before = speech.heard(whole.eval(), TRANSDUCER)
    smaller = keep_layers(copy.deepcopy(whole), layer_numbers(whole)[:-1])
    assert len(smaller.encoder.encoders) == len(whole.encoder.encoders) - 1
    assert speech.heard(smaller, TRANSDUCER) != before == speech.heard(whole, TRANSDUCER)


def test_late_regularisers_teach_a_trained_models_first_layer(tmp_path):
    """Trained on alike but for intermediate CTC, the model of its first layer alone is far better with it."""
    speech = Speech("transformer-ctc", "train", 4, tmp_path)
    loaded = formats.load(REFERENCE / "transformer-ctc")
    batch = speech.load(list(speech.texts)).tensors

    def first_layer_alone(intermediate_ctc) -> float:
        """Its loss after ten steps; there is no other randomness than that of training."""
        torch.manual_seed(1)
        model, _ = regularised(loaded, intermediate_ctc, 0.0)
        optimizer = torch.optim.Adam(model.train().parameters(), lr=1e-3)
        for _ in range(10):
            loss, statistics, _ = model(**batch)
            assert ("loss_interctc_layer1" in statistics) == bool(intermediate_ctc["layers"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        trained = regularised(loaded, intermediate_ctc, 0.0)[0].eval()
        trained.load_state_dict(model.state_dict())
        with torch.no_grad(), without_intermediate_ctc(trained):
            return keep_layers(trained, [1])(**batch)[0].item()

    with_it, without = (
        first_layer_alone(one) for one in ({"layers": [1], "weight": 0.5}, {"layers": [], "weight": 0.0})
    )
    assert with_it < 0.5 * without, (with_it, without)


def test_what_the_language_model_of_an_espnet_folder_costs_is_timed(tmp_path):
    """Its share of the seconds of a beam search, in turns with the same search without it."""
    kind = "conformer-hybrid"
    found = formats.describe(REFERENCE / kind)
    take_tokens(tmp_path, found.tokens, found.pieces)
    made, texts = front_end(found.features), list(read_table(REFERENCE / "speech/test/text").items())[:3]
    wavs = REFERENCE / "speech/wav"
    write_data_dir(
        tmp_path / "data", [Utterance(name, str(wavs / f"{name}.flac"), text, name, "en", 1.5) for name, text in texts]
    )
    (tmp_path / "features").mkdir()
    extract(tmp_path / "data", tmp_path / "features", made.width, front_end=made.compute)
    for name, section in (("model", "models"), ("lm", "language_models")):
        loaded = formats.load(REFERENCE / kind, section)
        save_model(tmp_path / name, loaded.model, loaded.config, loaded.tokens)
    entries = {"beam": {}, "beam-lm": {"lm": str(tmp_path / "lm")}}
    run_script(
        "timing", "--systems", json.dumps({"m": {"model": str(tmp_path / "model"), "searches": entries}}),
        "--searches", json.dumps({"beam": BEAM, "beam-lm": WITH_LM}),
        "--groups", json.dumps({"slow": {"searches": ["beam", "beam-lm"], "utterances": 3, "rounds": 2}}),
        "--data", tmp_path / "data", "--features", tmp_path / "features", "--device", "cpu",
        "--output", tmp_path / "timing",
    )  # fmt: skip
    rows = {row["search"]: row for row in read_tsv(tmp_path / "timing/timing.tsv") if row["system"] == "m"}
    assert float(rows["beam"]["lm_s"]) == 0 < float(rows["beam-lm"]["lm_s"])
    assert float(rows["beam-lm"]["lm_s"]) < float(rows["beam-lm"]["total_s"])
