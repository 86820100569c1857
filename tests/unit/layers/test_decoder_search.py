"""The search for layers of an attention decoder: the choice of the naive search, by its loss or by beam search."""

import copy
from argparse import Namespace

import pytest
import torch
from test_layer_search import DEV, EXAMPLES
from tiny import CTC, TOKENS, hybrid, run_script, script, with_encoder, write_corpus

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, read_tsv
from secateur.decoding.options import TimedGroup
from secateur.decoding.recognize import Recognizer, decode
from secateur.decoding.scoring import score
from secateur.layers.search import search
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.surgery.layers import keep_layers, layer_numbers
from secateur.models.types import DECODER

CONFIG = hybrid(with_encoder(CTC, layers=2) | {"intermediate_ctc": {"layers": [1], "weight": 0.3}}, layers=3)
BEAM = {"type": "beam", "beam": 5, "ctc_weight": 0.3, "lm": None, "lm_weight": 0.0, "length_bonus": 0.0}


def model():
    torch.manual_seed(2)
    built = build_model(CONFIG, TOKENS).eval()
    with torch.no_grad():
        for weights in (built.decoder.output_layer.weight, built.ctc.ctc_lo.weight):
            weights *= 10
        for layer in built.decoder.decoders:  # else they hardly matter
            layer.src_attn.linear_out.weight *= 5
    return built


@torch.no_grad()
def measured(whole, kept):
    """(mean loss, word error rate), by ESPnet's scorer, one utterance and one token at a time, and by the command's
    search."""
    shortened = keep_layers(copy.deepcopy(whole), kept, DECODER)
    total = 0.0
    for name, text in EXAMPLES.texts.items():
        tensors = EXAMPLES.load([name]).tensors
        encoder_out = shortened.encode(tensors["speech"], tensors["speech_lengths"])[0]
        encoder_out = encoder_out[0] if isinstance(encoder_out, tuple) else encoder_out
        written, state = torch.tensor([shortened.sos]), None
        for token in [*DEV.tokenizer.encode(text), shortened.eos]:
            log_probs, state = shortened.decoder.score(written, state, encoder_out[0])
            total -= log_probs[token].item()
            written = torch.cat((written, torch.tensor([token])))
    heard = decode(Recognizer(shortened, DEV.tokenizer), EXAMPLES.features, BEAM)
    scores = score(EXAMPLES.texts, {name: one.hypothesis for name, one in heard.items()})
    return total / len(scores), 100 * sum(one.errors for one in scores) / sum(one.words for one in scores)


@pytest.mark.parametrize("objective", ["loss", "wer"])
def test_greedy_is_the_naive_search_of_decoder_layers(objective):
    whole = model()
    before, column = outputs(whole), {"loss": 0, "wer": 1}[objective]
    result = search(whole, "greedy", DEV, objective, of=DECODER)
    layers, order = [1, 2, 3], []
    while len(layers) > 1:
        found = {layer: measured(whole, [other for other in layers if other != layer]) for layer in layers}
        best = min(layers, key=lambda layer: (found[layer][column], found[layer][0], -layer))
        reported = {int(layer): value for layer, value in result["rounds"][len(order)]["without"].items()}
        assert reported == pytest.approx({layer: values[column] for layer, values in found.items()}, rel=1e-4)
        assert len({values[0] for values in found.values()}) == len(layers)
        layers, order = [layer for layer in layers if layer != best], [*order, best]
        depth = result["depths"][str(len(layers))]
        assert depth["layers"] == layers and depth["dev_loss"] == pytest.approx(found[best][0], rel=1e-4)
        assert depth.get("dev_wer") == (pytest.approx(found[best][1]) if objective == "wer" else None)
    assert result["order_removed"] == order and result["of"] == DECODER
    assert result["depths"]["3"]["dev_loss"] == pytest.approx(measured(whole, [1, 2, 3])[0], rel=1e-4)
    assert result["layer_forwards"] == 3 * (3 + 3 * 2 + 2 * 1)  # three batches
    assert torch.equal(outputs(whole), before) and layer_numbers(whole, DECODER) == [1, 2, 3]


@torch.no_grad()
def outputs(model):
    return model(**EXAMPLES.load(["u0", "u3"]).tensors)[0]


def test_controls_order_the_decoder_and_similarity_cannot():
    assert search(model(), "truncate", DEV, of=DECODER)["order_removed"] == [3, 2]
    assert search(model(), "every-other", DEV, of=DECODER)["order_removed"] == [2, 3]
    with pytest.raises(SecateurError, match="strategy svcca: layers of a decoder hear tokens, not frames"):
        search(model(), "svcca", DEV, similarity={1: 0.1, 2: 0.2, 3: 0.3}, of=DECODER)
    with pytest.raises(SecateurError, match="has no attention decoder whose layers have numbers of their own"):
        search(build_model(CTC, TOKENS).eval(), "greedy", DEV, of=DECODER)


@pytest.fixture
def folder(tmp_path):
    write_corpus(tmp_path)
    save_model(tmp_path / "model", model(), CONFIG, TOKENS)
    data = [tmp_path / "data" / language / "dev" for language in ("en", "fr")]
    features = [tmp_path / "features" / language / "dev" for language in ("en", "fr")]
    run_script(
        *("layer_search", "--of", "decoder", "--model", tmp_path / "model", "--tokens", tmp_path / "tokens.txt"),
        *("--data", *data, "--features", *features, "--device", "cpu", "--output", tmp_path / "decoder.json"),
    )
    return tmp_path


def test_sub_models_of_the_decoder_are_decoded_and_sized(folder):
    where = ("--data", folder / "data/en/dev", "--features", folder / "features/en/dev", "--device", "cpu")
    chosen = ("--search", '{"type":"beam","beam":2,"ctc_weight":0.3,"lm":null,"lm_weight":0,"length_bonus":0}')
    demand = ("decode", "--model", folder / "model", *where, *chosen, "--layers", folder / "decoder.json")
    run_script(*demand, "--output", folder / "all")
    depths = read_json(folder / "decoder.json")["depths"]
    names = [f"decoder {','.join(map(str, depths[depth]['layers']))}" for depth in ("1", "2", "3")]
    rows = read_tsv(folder / "all" / "hypotheses.tsv")
    assert list(dict.fromkeys(row["sub_model"] for row in rows)) == names
    assert set(read_json(folder / "all" / "score.json")) == set(names)
    with pytest.raises(SecateurError, match="--rtf-budget is for layers of the encoder"):
        (folder / "timing.tsv").write_text(
            "device\tsystem\tsearch\tsub_model\tdepth\trtf\ncpu\ts\tbeam\tdepth 2\t2\t0.1\n"
        )
        run_script(*demand, "--rtf-budget", 1, "--rtf", folder / "timing.tsv", "--output", folder / "all")
    sizes = script("sizes").sub_models(script("sizes").load_model(folder / "model"), [folder / "decoder.json"])
    assert list(sizes) == names
    layer = sum(weights.numel() for weights in model().decoder.decoders[0].parameters())
    parameters = [sizes[name]["parameters"] for name in names]
    assert parameters == [parameters[0] - gone * layer for gone in (0, -1, -2)]
    assert len({sizes[name]["macs_per_second"] for name in names}) == 1  # those of encoding


def test_depths_of_the_decoder_are_timed_beside_those_of_the_encoder(folder):
    (folder / "encoder.json").write_text('{"depths": {"1": {"layers": [2]}}}')
    entry = {"layers": str(folder / "encoder.json"), "depths": [1]}
    entry |= {"decoder_layers": str(folder / "decoder.json"), "decoder_depths": [2, 1]}
    arguments = Namespace(
        systems={"whole": {"model": str(folder / "model"), "searches": {"beam": entry}}},
        searches={"beam": BEAM | {"beam": 2}},
        reference=None,
        groups={"beam": TimedGroup(searches=("beam",), utterances=2, rounds=1)},
        data=[folder / "data/en/dev"],
        features=[folder / "features/en/dev"],
        tokens=None,
        train_text=[],
        seed=1,
        device="cpu",
        output=folder / "timing",
    )
    script("timing").run(arguments, {})
    rows = {row["sub_model"]: row["depth"] for row in read_tsv(folder / "timing" / "timing.tsv")}
    assert rows == {"": "2", "depth 1": "1", "decoder depth 2": "2", "decoder depth 1": "2", "A/A": "2"}
