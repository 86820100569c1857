"""Whisper out of Hugging Face folders, against transformers' own classes and generation.

The model of `tests/fixtures/whisper` was trained (`trained_hugging_face`); its window is two seconds.
"""

import json
import shutil
from functools import cache

import jiwer
import numpy as np
import pytest
import torch
import transformers
from letters import RATE, sentences, spoken
from trained_hugging_face import FIXTURES, transcripts_whisper

from secateur.core.errors import SecateurError
from secateur.decoding.recognize import Features, Recognizer, decode
from secateur.layers.dev import Dev
from secateur.layers.search import search
from secateur.models import formats
from secateur.models.checkpoint import save_model
from secateur.models.load import Loaded, load_model, smaller
from secateur.models.surgery.heads import check_compaction, heads, made_up_batch, remove_heads
from secateur.models.surgery.layers import keep_layers, layer_numbers
from secateur.pruning.engines.mask import prunable
from secateur.speech.corpora.text import normalise_anything
from secateur.speech.data import Batch, pad
from secateur.speech.front_ends.waves import framed
from secateur.speech.whisper_tokens import WhisperTokenizer

FOLDER = FIXTURES / "whisper"
GENERATE = {"type": "generate", "batch": 6, "batch_frames": 100000, "beam": 1}
LAYERS = [1, 2, 3, 4]  # two of the encoder, two of the decoder


@cache
def trained():
    return formats.load(FOLDER)


def fresh():
    return formats.load(FOLDER).model


def tokenizer():
    return WhisperTokenizer(trained().tokens, FOLDER / "tokenizer.json")


def features(split="test", language="en"):
    waves = {str(number): framed(spoken(text, number)) for number, text in enumerate(sentences(split))}
    return Features(waves, {name: len(wave) for name, wave in waves.items()}, dict.fromkeys(waves, language))


def hypotheses(model, language="en", **options):
    results = decode(Recognizer(model.eval(), tokenizer()), features(language=language), GENERATE | options)
    return [result.hypothesis for result in results.values()]


class Examples:
    """Utterances of a split as training reads them."""

    def __init__(self, split="dev"):
        self.texts = sentences(split)

    def load(self, names):
        waves = [torch.from_numpy(framed(spoken(self.texts[int(name)], int(name)))) for name in names]
        texts = [torch.tensor(tokenizer().encode(self.texts[int(name)], "en")) for name in names]
        tensors = {
            "speech": pad(waves, 0.0),
            "speech_lengths": torch.tensor([len(wave) for wave in waves]),
            "text": pad(texts, -1),
            "text_lengths": torch.tensor([len(text) for text in texts]),
        }
        return Batch(list(names), ["en"] * len(names), tensors)


def test_batches_write_what_transformers_own_generation_writes():
    found, references = hypotheses(trained().model), sentences("test")
    assert found == transcripts_whisper(FOLDER)
    assert all(found) and len(set(found)) == len(found) >= 20
    assert jiwer.wer(references, found) < 0.9
    assert hypotheses(trained().model, beam=3) == transcripts_whisper(FOLDER, beam=3)
    assert hypotheses(trained().model, "fr") == transcripts_whisper(FOLDER, language="fr")
    with pytest.raises(ValueError, match="nl"):
        hypotheses(trained().model, "nl")


@torch.no_grad()
def test_the_loss_is_that_of_transformers_behind_the_prompt():
    theirs = transformers.WhisperForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32).eval()
    batch = Examples().load(["0", "1", "2"])
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(FOLDER)
    waves = [spoken(text, number) for number, text in enumerate(sentences("dev")[:3])]
    mel = extractor(waves, sampling_rate=RATE, return_tensors="pt").input_features
    text = batch.tensors["text"]
    assert (
        text[0, :4].tolist()
        == transformers.WhisperTokenizer.from_pretrained(FOLDER, language="en", task="transcribe").prefix_tokens
    )
    labels = text[:, 1:].masked_fill(text[:, 1:] == -1, -100)
    labels[:, :3] = -100
    inputs = text[:, :-1].masked_fill(text[:, :-1] == -1, 256)
    wanted = theirs(mel, decoder_input_ids=inputs, labels=labels).loss * (labels != -100).sum() / 3
    loss, _, weight = trained().model(**batch.tensors)
    assert weight == 3 and loss.item() == pytest.approx(wanted.item(), rel=1e-4)


def test_a_model_of_english_alone_has_neither_language_nor_task_in_its_prompt(tmp_path):
    """As openai's `.en` models: their tokenizers name languages and tasks, their generation does not."""
    folder = tmp_path / "english"
    shutil.copytree(FOLDER, folder)
    file = folder / "generation_config.json"
    found = {key: value for key, value in json.loads(file.read_text()).items() if not key.endswith("_to_id")}
    file.write_text(json.dumps(found | {"is_multilingual": False}))
    loaded = formats.load(folder)
    spelled = WhisperTokenizer(loaded.tokens, folder / "tokenizer.json")
    theirs = transformers.WhisperProcessor.from_pretrained(folder)
    assert spelled.prompt("en") == theirs.tokenizer.prefix_tokens and len(spelled.prompt("en")) == 2
    assert loaded.model.prompt == 2 and spelled.encode("ab", "en") == theirs.tokenizer(" ab").input_ids
    model = transformers.WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    wanted = []
    for number, text in enumerate(sentences("test")[:5]):
        mel = theirs(spoken(text, number), sampling_rate=RATE, return_tensors="pt").input_features
        wanted += theirs.batch_decode(model.generate(mel), skip_special_tokens=True)
    some = features()
    few = {name: some[name] for name in list(some)[:5]}
    given = Features(few, {name: len(wave) for name, wave in few.items()}, dict.fromkeys(few, "en"))
    heard = [result.hypothesis for result in decode(Recognizer(loaded.model, spelled), given, GENERATE).values()]
    assert heard == [" ".join(text.split()) for text in wanted]


def test_heads_of_encoder_and_decoder_go_exactly(tmp_path):
    model, batch = fresh(), made_up_batch(fresh())
    found = heads(model)
    assert len(found) == 24 and [str(head) for head in (found[0], found[8], found[-1])] == [
        "encoder-self 1.1",
        "decoder-self 3.1",
        "decoder-source 4.4",
    ]
    # All of the first self-attention of the decoder too, which counts the tokens in generation.
    gone = [head for head in found if head.head == 2 or (head.block, head.layer) == ("decoder-self", 3)]
    headless = remove_heads(fresh(), gone)
    assert check_compaction(model, gone, headless, batch) < 1e-4
    whole, less = hypotheses(model), hypotheses(headless)
    assert less != whole
    save_model(tmp_path, headless, smaller(trained().config, headless), trained().tokens)
    assert hypotheses(load_model(tmp_path).model) == less
    with torch.inference_mode():
        encoder_out, _ = headless.encode(batch["speech"], batch["speech_lengths"])
        cached = headless.generate(encoder_out, ["en", "en"], 1)
        headless.net.generation_config.use_cache = False
        assert cached == headless.generate(encoder_out, ["en", "en"], 1)
    with pytest.raises(SecateurError, match="lost attention heads"):
        from secateur.models.formats import whisper

        whisper.export(Loaded(headless, trained().config, trained().tokens), FOLDER, tmp_path / "out")


@pytest.mark.parametrize("kept", [[1, 3, 4], [1, 2, 4], [2, 3]])
def test_layers_go_and_transformers_loads_what_is_left(kept, tmp_path):
    from secateur.models.formats import whisper

    model = keep_layers(fresh(), kept)
    found = hypotheses(model)
    assert layer_numbers(model) == kept and found != hypotheses(trained().model)
    whisper.export(Loaded(model, trained().config, trained().tokens), FOLDER, tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert (written["encoder_layers"], written["decoder_layers"]) == (
        sum(k < 3 for k in kept),
        sum(k > 2 for k in kept),
    )
    assert transcripts_whisper(tmp_path) == found


@pytest.mark.parametrize("objective", ["loss", "wer"])
def test_the_search_orders_layers_of_encoder_and_decoder(objective):
    model = fresh()
    references = {str(number): text for number, text in enumerate(sentences("dev"))}
    dev = Dev(Examples(), [["0", "1", "2"], ["3", "4"]], references, tokenizer())
    found = search(model, "greedy", dev, objective)
    assert sorted([*found["order_removed"], *found["depths"]["1"]["layers"]]) == LAYERS
    assert layer_numbers(model) == LAYERS and hypotheses(model) == hypotheses(trained().model)
    # The first removal is the one that hurts least, by the loss of the model without the layer.
    losses = {}
    for layer in LAYERS:
        without = keep_layers(fresh(), [other for other in LAYERS if other != layer])
        with torch.inference_mode():
            parts = [without(**Examples().load(names).tensors) for names in dev.batches]
        losses[layer] = sum(loss.item() * weight.item() for loss, _, weight in parts) / 5
    if objective == "loss":
        assert found["order_removed"][0] == min(losses, key=losses.get)
    removed = found["order_removed"][0]
    assert found["depths"]["3"]["dev_loss"] == pytest.approx(losses[removed], rel=1e-4)


def test_matrices_of_encoder_and_decoder_are_prunable():
    names = prunable(trained().model)
    assert len(names) == 2 * (4 + 2) + 2 * (8 + 2)
    assert all(".layers." in name and name.endswith("weight") and "norm" not in name for name in names)


def test_texts_are_scored_in_one_stated_form():
    assert normalise_anything("It’s 5 p.m. – Hello, World!", "en") == "it's five p m hello world"
    assert normalise_anything("\ufffd 1,2,3 Go", "en") == "one two three go"
    assert normalise_anything("Zażółć 3", "xx") == "zażółć"


def test_a_longer_utterance_than_the_window_is_refused():
    long = {"a": framed(np.zeros(2 * RATE + 1, np.float32))}
    with pytest.raises(SecateurError, match=r"lasts 2\.0 s, and Whisper hears 2 s"):
        decode(Recognizer(trained().model, tokenizer()), long, GENERATE)


def test_what_cannot_be_used_gets_one_message(tmp_path):
    def copied(name):
        shutil.copytree(FOLDER, tmp_path / name)
        return tmp_path / name

    def edited(name, file, **changes):
        folder = copied(name)
        found = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(found | changes))
        return folder

    def without(name, file):
        folder = copied(name)
        (folder / file).unlink()
        return folder

    for folder, message in (
        (edited("a", "config.json", architectures=["WhisperModel"]), "architecture is WhisperModel"),
        (without("b", "generation_config.json"), r"generation_config.json: no such file.*save_pretrained"),
        (without("c", "tokenizer.json"), "tokenizer.json: no such file"),
        (without("d", "model.safetensors"), "has no weights"),
        (edited("e", "config.json", max_source_positions=50), "they must be of the same window"),
        (edited("f", "config.json", decoder_layers=3), "lacks decoder.layers.2"),
        (edited("g", "config.json", d_model=16), r"is \(\d+.*, expected \(\d+"),
        (edited("h", "generation_config.json", is_multilingual=None), "does not say which languages and tasks"),
    ):
        with pytest.raises(SecateurError, match=message) as raised:
            formats.load(folder)
        assert "\n" not in str(raised.value)
