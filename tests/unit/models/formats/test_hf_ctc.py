"""CTC models out of Hugging Face folders, against transformers' own classes: all families, base and large.

What is checked on transcripts takes the models of `tests/fixtures`, which were trained (`trained_hugging_face`).
"""

import json
import logging
import shutil
from functools import cache
from types import SimpleNamespace

import jiwer
import pytest
import torch
import transformers
from letters import RATE, sentences, spoken
from safetensors.torch import load_file, save_file
from tiny import GREEDY, run_script
from trained_hugging_face import CTC, FIXTURES, LARGE, SIZES, VOCABULARY, transcripts_ctc

from secateur.core.errors import SecateurError
from secateur.decoding.recognize import Recognizer, decode
from secateur.models import formats
from secateur.models.formats import hf_ctc
from secateur.models.formats.hf_ctc import vocabulary
from secateur.models.load import load_model
from secateur.models.surgery.heads import check_compaction, heads, made_up_batch, remove_heads
from secateur.models.surgery.layers import keep_layers
from secateur.models.surgery.stepwise import first_input, frames, run_layer
from secateur.speech.front_ends.waves import framed
from secateur.speech.tokens import Tokenizer

FORMS = [(name, large) for name in CTC for large in (False, True) if not (name == "data2vec" and large)]
SCATTERED = {"<s>": 0, "</s>": 1, "[UNK]": 2, "A": 3, "|": 4, "B": 5, "'": 6, "[PAD]": 7}


def speech(split="test"):
    """Features of a split by utterance."""
    return {str(number): framed(spoken(text, number)) for number, text in enumerate(sentences(split))}


def hypotheses(model, tokens):
    recognizer = Recognizer(model.eval(), Tokenizer(tokens))
    return [result.hypothesis for result in decode(recognizer, speech(), GREEDY).values()]


@cache
def trained(name):
    return formats.load(FIXTURES / name)


def random_folder(folder, name, large, **changes):
    """A model with random weights, a vocabulary in an order of its own, and no sentence end."""
    configuration, kind, forms = CTC[name]
    forms = {key: value for key, value in forms.items() if key not in LARGE} | (LARGE if large else {})
    torch.manual_seed(0)
    model = kind(configuration(**SIZES | forms | {"vocab_size": 8, "pad_token_id": 7} | changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(SCATTERED))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[PAD]", "unk_token": {"content": "[UNK]"}}))
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True, "sampling_rate": RATE}))
    return model


@pytest.mark.parametrize("name", CTC)
@torch.no_grad()
def test_layers_run_one_at_a_time_as_they_do_together(name):
    """As the search for layers runs them."""
    model = trained(name).model
    batch = made_up_batch(model)
    given = batch["speech"], batch["speech_lengths"]
    state, mask = first_input(model.encoder, lambda: model.encode(*given))
    lengths = mask.squeeze(1).sum(1)
    for layer in model.encoder.encoders:
        state = run_layer(model.encoder, layer, state, mask, lengths)
    expected, frames_of = model.encode(*given)
    assert lengths.tolist() == frames_of.tolist()
    for one, other, length in zip(model.encoder.after_norm(frames(state)), expected, frames_of, strict=True):
        torch.testing.assert_close(one[:length], other[:length])


@pytest.mark.parametrize(("name", "large"), FORMS)
@torch.no_grad()
def test_logits_are_transformers_and_export_gives_the_folder_back(name, large, tmp_path):
    theirs = random_folder(tmp_path / "in", name, large)
    loaded = formats.load(tmp_path / "in")
    assert loaded.tokens == ["<blank>", "<s>", "<unk>", "A", "<space>", "B", "'", "<sos/eos>"]
    samples = spoken("abc de", 3)[:9871]
    frames = torch.from_numpy(framed(samples))[None]
    inputs = transformers.Wav2Vec2FeatureExtractor()(samples, sampling_rate=RATE, return_tensors="pt").input_values
    wanted = theirs(inputs).logits
    output, lengths = loaded.model.encode(frames, torch.tensor([frames.shape[1]]))
    rows = vocabulary(tmp_path / "in", json.loads((tmp_path / "in" / "config.json").read_text()))[1]
    assert rows == [7, 0, 2, 3, 4, 5, 6, 1] and lengths.tolist() == [wanted.shape[1]]
    torch.testing.assert_close(loaded.model.ctc.ctc_lo(output), wanted[..., rows], rtol=1e-4, atol=1e-4)
    hf_ctc.export(loaded, tmp_path / "in", tmp_path / "out")
    back = type(theirs).from_pretrained(tmp_path / "out").eval()
    assert torch.equal(back(inputs).logits, wanted)


@pytest.mark.parametrize("name", CTC)
def test_transcripts_of_a_trained_model_are_transformers(name):
    loaded = trained(name)
    found, references = hypotheses(loaded.model, loaded.tokens), [text.upper() for text in sentences("test")]
    assert found == transcripts_ctc(FIXTURES / name)
    assert all(found) and len(set(found)) == len(found) == len(references) >= 20
    assert jiwer.wer(references, found) < 0.9


@pytest.mark.parametrize("name", CTC)
def test_layers_and_heads_go_and_the_folder_comes_back_shallower(name, tmp_path):
    loaded = trained(name)
    whole = hypotheses(loaded.model, loaded.tokens)
    model = formats.load(FIXTURES / name).model
    gone = [head for head in heads(model) if head.layer == 1 or head.head == 2]
    assert len(heads(model)) == 12 and len(gone) == 6
    batch = made_up_batch(model)
    headless = remove_heads(formats.load(FIXTURES / name).model, gone)
    assert check_compaction(model, gone, headless, batch) < 1e-4
    assert hypotheses(headless, loaded.tokens) != whole
    shallow = keep_layers(model, [1, 3])
    found = hypotheses(shallow, loaded.tokens)
    assert found != whole
    hf_ctc.export(formats_loaded(shallow, loaded), FIXTURES / name, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["num_hidden_layers"] == 2
    assert transcripts_ctc(tmp_path / "out") == found
    with pytest.raises(SecateurError, match=r"lost attention heads, or other parts of layers, and its library has"):
        hf_ctc.export(formats_loaded(headless, loaded), FIXTURES / name, tmp_path / "headless")


def formats_loaded(model, like):
    return type(like)(model, like.config, like.tokens)


def test_a_checkpoint_of_the_study_rebuilds_the_model_alone(tmp_path):
    from secateur.models.checkpoint import save_model
    from secateur.models.load import smaller

    loaded = trained("wavlm")
    save_model(tmp_path / "whole", loaded.model, loaded.config, loaded.tokens)
    assert hypotheses(load_model(tmp_path / "whole").model, loaded.tokens) == hypotheses(loaded.model, loaded.tokens)
    model = formats.load(FIXTURES / "wavlm").model
    remove_heads(keep_layers(model, [1, 3]), [head for head in heads(model) if head.layer == 3 or head.head == 1])
    save_model(tmp_path / "small", model, smaller(loaded.config, model), loaded.tokens)
    again = load_model(tmp_path / "small").model
    assert hypotheses(again, loaded.tokens) == hypotheses(model, loaded.tokens)


@pytest.mark.parametrize("name", ["hubert", "whisper"])
def test_the_command_gives_a_model_back_and_one_without_heads_a_loader(name, tmp_path):
    from secateur.models.checkpoint import save_model
    from secateur.models.load import smaller

    loaded = formats.load(FIXTURES / name)
    save_model(tmp_path / "whole", loaded.model, loaded.config, loaded.tokens)
    # The last head of every layer: what is left are heads 1 to 3 everywhere.
    remove_heads(loaded.model, [head for head in heads(loaded.model) if head.head == 4])
    save_model(tmp_path / "headless", loaded.model, smaller(loaded.config, loaded.model), loaded.tokens)
    for model in ("whole", "headless"):
        record = run_script(
            "export_original",
            "--model",
            tmp_path / model,
            "--source",
            FIXTURES / name,
            "--output",
            tmp_path / f"{model}-out",
        )
        assert record["difference"] < 1e-5
    assert (tmp_path / "whole-out" / "config.json").is_file() and (tmp_path / "headless-out" / "load.py").is_file()


def copied(folder, **changes):
    """A copy of a trained folder whose config.json has other values."""
    shutil.copytree(FIXTURES / "hubert", folder)
    edit(folder / "config.json", **changes)
    return folder


def edit(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def reweighted(folder, change):
    file = copied(folder) / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})
    return folder


def test_prefixes_of_data_parallelism_are_left_out_and_that_is_said(tmp_path, caplog):
    folder = reweighted(tmp_path / "a", lambda state: {f"module.{name}": value for name, value in state.items()})
    with caplog.at_level(logging.WARNING):
        model = formats.load(folder).model
    assert "'module.'" in caplog.text
    assert torch.equal(model.ctc.ctc_lo.weight, trained("hubert").model.ctc.ctc_lo.weight)


def test_a_folder_that_does_not_say_how_waveforms_are_normalised_is_noted(tmp_path):
    folder = copied(tmp_path / "a")
    for name in ("preprocessor_config.json", "processor_config.json"):
        (folder / name).unlink(missing_ok=True)
    found = formats.describe(folder)
    assert "no preprocessor_config.json: every waveform is brought to mean 0" in found.notes[0]
    assert found.model["upstream"]["do_normalize"] and not formats.describe(FIXTURES / "hubert").notes
    (folder / "preprocessor_config.json").write_text('{"do_normalize": false}')
    assert not formats.describe(folder).model["upstream"]["do_normalize"]


def test_what_cannot_be_used_gets_one_message(tmp_path):
    def without(folder, name):
        (folder / name).unlink()
        return folder

    def pointer(folder):
        (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
        return folder

    def pickled(folder):
        torch.save({"config": SimpleNamespace()}, without(folder, "model.safetensors") / "pytorch_model.bin")
        return folder

    def sharded(folder):
        (without(folder, "model.safetensors") / "model.safetensors.index.json").write_text("{}")
        return folder

    def tokenizer(folder, file="vocab.json", **changes):
        edit(folder / file, **changes)
        return folder

    def broken(state):
        return state | {"lm_head.bias": torch.full_like(state["lm_head.bias"], float("nan"))}

    def smaller(state):
        return state | {"lm_head.bias": state["lm_head.bias"][1:], "lm_head.weight": state["lm_head.weight"][1:]}

    def more(state):
        return state | {"hubert.extra.weight": torch.zeros(1)}

    def less(state):
        return {name: value for name, value in state.items() if "layers.1.final_layer_norm" not in name}

    for number, (make, message) in enumerate(
        (
            (lambda f: copied(f, architectures=["HubertModel"]), "architecture is HubertModel; expected HubertForCTC"),
            (lambda f: copied(f, conv_pos_batch_norm=True), "conv_pos_batch_norm is True, and only False"),
            (lambda f: copied(f, pad_token_id=3), r"pad_token_id 3, the token '<unk>'.*the blank must be the same"),
            (lambda f: copied(f, num_hidden_layers=2), r"does not fit the configuration.*too many"),
            (
                lambda f: copied(f, intermediate_size=63),
                r"intermediate_dense.weight is \(64, 32\), expected \(63, 32\)",
            ),
            (lambda f: without(copied(f), "vocab.json"), "vocab.json: no such file; a CTC model needs its vocabulary"),
            (lambda f: without(copied(f), "model.safetensors"), "has no weights; expected model.safetensors"),
            (lambda f: pointer(copied(f)), "a pointer of Git LFS"),
            (lambda f: pickled(copied(f)), "holds pickled objects"),
            (lambda f: sharded(copied(f)), "its weights are in several files"),
            (lambda f: reweighted(f, broken), r"lm_head.bias holds NaN"),
            (lambda f: reweighted(f, smaller), "lm_head.weight is for 9 tokens, and config.json has vocab_size 10"),
            (lambda f: reweighted(f, more), "has encoder.extra.weight|extra.weight too many"),
            (lambda f: reweighted(f, less), "lacks encoder.encoders.1.final_layer_norm"),
            (lambda f: tokenizer(copied(f), eng={"A": 1}), "not one vocabulary, but one for each"),
            (
                lambda f: tokenizer(copied(f), "tokenizer_config.json", tokenizer_class="Wav2Vec2PhonemeCTCTokenizer"),
                "the tokenizer is Wav2Vec2PhonemeCTCTokenizer; expected Wav2Vec2CTCTokenizer",
            ),
        )
    ):
        with pytest.raises(SecateurError, match=message) as raised:
            formats.load(make(tmp_path / str(number)))
        assert "\n" not in str(raised.value)
    other = copied(tmp_path / "rate")
    (other / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True, "sampling_rate": 8000}))
    (other / "processor_config.json").unlink(missing_ok=True)
    with pytest.raises(SecateurError, match="a model for speech at 8000 Hz"):
        formats.describe(other)
    assert len(VOCABULARY) == 10
