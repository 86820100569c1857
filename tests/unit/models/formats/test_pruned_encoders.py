"""Encoders that gates pruned, back in the models that they came from: a trained Whisper, and CTC models.

Compared are a model of smaller matrices and the whole one whose weights the same gates scale.
"""

import json
import runpy
from dataclasses import asdict
from functools import cache

import jiwer
import pytest
import soundfile
import torch
import transformers
from gated_student import GATED
from letters import RATE, sentences, spoken
from tiny import GREEDY, TRAINING, run_script
from trained_hugging_face import CTC, FIXTURES, WHISPER, transcripts_whisper

from secateur.core.errors import SecateurError
from secateur.decoding.recognize import Features, Recognizer, decode
from secateur.models import formats
from secateur.models.checkpoint import save_model
from secateur.models.load import has_library_form, load_model, smaller
from secateur.models.surgery.heads import check_compaction, heads, made_up_batch, remove_heads
from secateur.models.surgery.layers import keep_layers
from secateur.models.upstream.config import EncoderConfig
from secateur.models.upstream.names import to_whisper
from secateur.speech.datadir import Utterance, write_data_dir
from secateur.speech.front_ends.waves import framed
from secateur.speech.tokens import Tokenizer
from secateur.speech.whisper_tokens import WhisperTokenizer
from secateur.ssl.checkpoints import load_encoder, save_encoder
from secateur.ssl.costs import multiply_adds
from secateur.ssl.gated import compact, fold, gate_shapes, open_gates, remaining
from secateur.ssl.layer_choice import kept
from secateur.ssl.speed import macs_per_second

SEARCHES = {
    name: {"type": "generate", "batch": 6, "batch_frames": 100000, "beam": 1} if name == WHISPER else GREEDY
    for name in (*CTC, WHISPER)
}
ALL = pytest.mark.parametrize("name", [*CTC, WHISPER])


@cache
def trained(name):
    return load_encoder(FIXTURES / name)


def waves(split="test"):
    return [torch.from_numpy(spoken(text, number)) for number, text in enumerate(sentences(split))]


def batch(found):
    return torch.nn.utils.rnn.pad_sequence(found, batch_first=True), torch.tensor([len(wave) for wave in found])


def hypotheses(name, model, tokens):
    spelling = FIXTURES / name / "tokenizer.json"
    tokenizer = WhisperTokenizer(tokens, spelling) if name == WHISPER else Tokenizer(tokens)
    frames = {str(number): framed(wave.numpy()) for number, wave in enumerate(waves())}
    features = Features(frames, {key: len(value) for key, value in frames.items()}, dict.fromkeys(frames, "en"))
    results = decode(Recognizer(model.eval(), tokenizer), features, SEARCHES[name])
    return [result.hypothesis.lower() for result in results.values()]


def random_gates(config, seed, closed=0.3):
    """Some of every kind closed, one feed-forward block among them, the others between a half and one."""
    generator, gates = torch.Generator().manual_seed(seed), open_gates(config)
    for kind, shape in gate_shapes(config).items():
        if kind not in ("mha", "ffn"):
            values = 0.5 + 0.5 * torch.rand(shape, generator=generator)
            gates[kind] = values * (torch.rand(shape, generator=generator) > closed)
    gates["ffn"] = torch.ones(config.num_hidden_layers)
    gates["ffn"][seed % config.num_hidden_layers] = 0.0
    return gates


def with_weights(encoder, gates):
    """The dense encoder with the gates in its weights."""
    for weight_name, weight in fold(encoder, gates).items():
        encoder.encoder.get_parameter(weight_name).data.copy_(weight)
    return encoder


@torch.no_grad()
def test_whispers_encoder_has_the_hidden_states_of_transformers():
    theirs = transformers.WhisperForConditionalGeneration.from_pretrained(FIXTURES / WHISPER, dtype=torch.float32)
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(FIXTURES / WHISPER)
    found = waves("dev")[:4]
    mel = extractor([wave.numpy() for wave in found], sampling_rate=RATE, return_tensors="pt").input_features
    wanted = theirs.eval().model.encoder(mel, output_hidden_states=True)
    wanted = [*wanted.hidden_states[:-1], wanted.last_hidden_state]
    samples, lengths = batch(found)
    whole, counted = trained(WHISPER).features(samples, lengths)
    assert counted.tolist() == [100] * 4, "frames of the window"
    for state, want in zip(trained(WHISPER).contextualize(whole, counted), wanted, strict=True):
        torch.testing.assert_close(state, want, rtol=1e-4, atol=1e-4)
    hidden, frames = trained(WHISPER)(samples, lengths)
    assert frames.tolist() == [-(-int(length) // 320) for length in lengths], "of the utterances alone"
    torch.testing.assert_close(hidden[-1], wanted[-1][:, : int(frames.max())], rtol=1e-4, atol=1e-4)
    with pytest.raises(SecateurError, match=r"lasts 2\.5 s, and Whisper hears 2 s; cut it into shorter ones"):
        trained(WHISPER)(torch.zeros(1, 40000), torch.tensor([40000]))


def test_whispers_encoder_has_the_names_of_transformers():
    theirs = transformers.WhisperForConditionalGeneration.from_pretrained(FIXTURES / WHISPER, dtype=torch.float32)
    wanted = {key: value for key, value in theirs.model.state_dict().items() if key.startswith("encoder.")}
    found = to_whisper(trained(WHISPER).state_dict())
    assert found.keys() == wanted.keys() and all(torch.equal(found[key], wanted[key]) for key in wanted)


@ALL
def test_a_pruned_encoder_in_its_model_hears_what_the_gated_one_does(name, tmp_path):
    source, join = FIXTURES / name, formats.joiner(FIXTURES / name)
    gates = random_gates(trained(name).config, 1)
    pruned, gated = join(compact(trained(name), gates), source), join(with_weights(load_encoder(source), gates), source)
    check_compaction(gated.model, [], pruned.model, made_up_batch(gated.model))
    size = {key: sum(value.numel() for value in one.model.parameters()) for key, one in (("p", pruned), ("g", gated))}
    assert size["p"] < size["g"]
    found = hypotheses(name, pruned.model, pruned.tokens)
    assert found == hypotheses(name, gated.model, gated.tokens)
    whole = formats.load(source)
    assert found != hypotheses(name, whole.model, whole.tokens)
    assert has_library_form(gated) and not has_library_form(pruned)
    with pytest.raises(SecateurError, match="or other parts of layers, and its library has no class"):
        formats.exporter(source)(pruned, source, tmp_path / "exported")
    save_model(tmp_path, pruned.model, pruned.config, pruned.tokens)
    assert hypotheses(name, load_model(tmp_path).model, pruned.tokens) == found


@ALL
def test_heads_and_layers_of_a_pruned_encoder_go_on(name, tmp_path):
    source = FIXTURES / name
    loaded = formats.joiner(source)(compact(trained(name), random_gates(trained(name).config, 2)), source)
    save_model(tmp_path / "pruned", loaded.model, loaded.config, loaded.tokens)
    gone = [head for head in heads(loaded.model) if head.layer == 2 or (head.layer + head.head) % 3 == 0]
    model = remove_heads(loaded.model, gone)
    whole = load_model(tmp_path / "pruned").model
    assert check_compaction(whole, gone, model, made_up_batch(whole)) < 1e-4
    model = keep_layers(model, [number for number in (1, 3) if number < 4])
    save_model(tmp_path / "less", model, smaller(loaded.config, model), loaded.tokens)
    again = load_model(tmp_path / "less").model
    assert hypotheses(name, again, loaded.tokens) == hypotheses(name, model, loaded.tokens)


def test_whispers_sizes_are_transformers_defaults_where_a_configuration_is_silent():
    found = EncoderConfig.from_dict({"model_type": "whisper"}, "config.json")
    wanted = EncoderConfig.from_dict(transformers.WhisperConfig().to_dict(), "config.json")
    assert found == wanted


def test_multiply_adds_of_whisper_are_those_of_its_window():
    """By hand: two seconds are heard at once, in 100 frames, however long the utterance."""
    encoder, gates = trained(WHISPER), open_gates(trained(WHISPER).config)
    gates["ffn"], gates["heads"] = torch.tensor([1.0, 0.0]), torch.tensor([[1.0, 1.0, 1.0, 0.0], [1.0] * 4])
    feed_forward, head = 100 * 2 * 48 * 64, 100 * 12 * (4 * 48 + 2 * 100)
    found = macs_per_second(encoder) - macs_per_second(compact(encoder, gates))
    assert found == pytest.approx((feed_forward + head) / 2, abs=1)
    counted = multiply_adds(encoder.config)
    left = [remaining(one, encoder.config, counted, padded=True).sum() for one in (open_gates(encoder.config), gates)]
    assert float(left[0] - left[1]) * 100 / 2 == pytest.approx(found, abs=1)


def test_fewer_layers_of_whispers_encoder_are_still_a_whisper(tmp_path):
    source = FIXTURES / WHISPER
    loaded = formats.joiner(source)(kept(trained(WHISPER), [1]), source)
    formats.exporter(source)(loaded, source, tmp_path / "back")
    assert transcripts_whisper(tmp_path / "back") == hypotheses(WHISPER, loaded.model, loaded.tokens)
    with pytest.raises(SecateurError, match="encoders alone are of Hugging Face's; name the folder"):
        formats.joiner(FIXTURES.parent / "reference/espnet/transformer-ctc")


def test_gates_prune_the_encoder_of_a_trained_whisper_and_it_goes_back(tmp_path):
    for split in ("train", "dev"):
        write_speech(tmp_path / "wav", split)
    gates = asdict(GATED) | {
        "log_alpha": dict.fromkeys(("mha", "ffn", "heads", "conv"), 5.0) | dict.fromkeys(("qk", "vo", "int"), 2.0),
        "sparsity": 0.3,
        "sparsity_warmup": 0.5,
    }
    training = TRAINING | {"steps": 60, "batch_seconds": 8.0, "learning_rate": 1e-3, "evaluate_every": 30}
    record = run_script(
        "ssl_distill", "--teacher", FIXTURES / WHISPER, "--student", json.dumps(gates),
        "--training", json.dumps(training), "--train", tmp_path / "wav/train", "--dev", tmp_path / "wav/dev",
        "--crop-seconds", 2, "--device", "cpu", "--output", tmp_path / "student",
    )  # fmt: skip
    assert record["sparsity"] == pytest.approx(0.3, abs=0.01) and record["missed"] < 0.5
    record = run_script(
        "export_original", "--model", tmp_path / "student", "--source", FIXTURES / WHISPER, "--output", tmp_path / "out"
    )
    assert record["difference"] < 1e-5
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    model, found = runpy.run_path(str(moved / "load.py"))["model"], formats.describe(moved)
    assert found.features == {"front_end": "waves"} and found.pieces == moved / "tokenizer.json"
    heard, whole = hypotheses(WHISPER, model, found.tokens), transcripts_whisper(FIXTURES / WHISPER)
    assert all(heard) and len(set(heard)) > 10 and heard != whole
    assert jiwer.wer(sentences("test"), heard) < 0.9
    assert hypotheses(WHISPER, formats.load(moved).model, found.tokens) == heard


@ALL
def test_an_encoder_alone_is_no_model_and_the_message_says_what_to_do(name, tmp_path):
    save_encoder(tmp_path, trained(name))
    with pytest.raises(SecateurError, match=r"an encoder alone, which writes no text; .*`secateur export-original"):
        formats.describe(tmp_path)


def write_speech(folder, split):
    """A data directory of a split."""
    utterances = []
    for number, (text, wave) in enumerate(zip(sentences(split), waves(split), strict=True)):
        file = folder / f"{split}-{number:02d}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, wave.numpy(), RATE)
        utterances.append(Utterance(f"{split}-{number:02d}", str(file), text, "s", "en", len(wave) / RATE))
    write_data_dir(folder / split, utterances)
