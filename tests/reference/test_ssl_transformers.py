"""Encoders against transformers': tiny random models of every kind, base and large, saved and loaded."""

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from secateur.core.errors import SecateurError
from secateur.models.upstream.config import EncoderConfig
from secateur.models.upstream.encoder import Encoder
from secateur.ssl.checkpoints import load_upstream, save_encoder

SIZES = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "conv_dim": (16, 12, 20),
    "conv_stride": (5, 4, 2),
    "conv_kernel": (10, 5, 3),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
}
KINDS = {
    "wavlm": (transformers.WavLMConfig, transformers.WavLMModel, {"num_buckets": 16, "max_bucket_distance": 20}),
    "hubert": (transformers.HubertConfig, transformers.HubertModel, {"num_conv_pos_embeddings": 7}),
    "wav2vec2": (transformers.Wav2Vec2Config, transformers.Wav2Vec2Model, {"conv_bias": True}),
}
STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
LARGE = {f"{kind}-large": (*classes, changes | STABLE) for kind, (*classes, changes) in KINDS.items()}
STACKED = {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 5}
DATA2VEC = {"data2vec": (transformers.Data2VecAudioConfig, transformers.Data2VecAudioModel, STACKED)}
ALL = KINDS | LARGE | DATA2VEC
SAMPLES = (1000, 4321, 2600, 130)


def reference(kind, seed=0):
    """A model all of whose parameters are random and matter."""
    torch.manual_seed(seed)
    configuration, model, changes = ALL[kind]
    model = model(configuration(**SIZES | changes)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(torch.randn_like(parameter) * (0.5 if "rel" in name else 0.2))
    return model


@torch.no_grad()
def states_of(model, waveforms, **arguments):
    """Hidden states of a reference. The last is what the model answers with, of large models after their last norm."""
    found = model(waveforms, output_hidden_states=True, **arguments)
    return *found.hidden_states[:-1], found.last_hidden_state


def batch(seed=1):
    generator = torch.Generator().manual_seed(seed)
    waveforms = [torch.randn(samples, generator=generator) * 0.1 for samples in SAMPLES]
    return torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True), torch.tensor(SAMPLES)


@pytest.mark.parametrize("kind", ALL)
@torch.no_grad()
def test_hidden_states_of_all_layers_are_transformers(kind, tmp_path):
    theirs = reference(kind)
    theirs.save_pretrained(tmp_path)
    ours = load_upstream(tmp_path)
    assert not ours.training and not any(parameter.requires_grad for parameter in ours.parameters())
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    waveforms, lengths = batch()
    hidden, frames = ours(waveforms, lengths)
    for index, samples in enumerate(SAMPLES):
        alone = waveforms[index : index + 1, :samples]
        wanted = states_of(theirs, alone)
        single, count = ours(alone, torch.tensor([samples]))
        assert len(hidden) == len(single) == len(wanted) == 4
        assert frames[index] == count == wanted[0].shape[1] == theirs._get_feat_extract_output_lengths(samples)
        for state, one, want in zip(hidden, single, wanted, strict=True):
            torch.testing.assert_close(one, want, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(state[index : index + 1, : frames[index]], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_padded_batches_are_transformers_but_for_the_norm_over_time(kind, tmp_path, monkeypatch):
    """With an attention mask, transformers' models differ only in that the first norm takes in the padding."""
    theirs = reference(kind)
    theirs.save_pretrained(tmp_path)
    waveforms, lengths = batch()
    mask = torch.arange(waveforms.shape[1]) < lengths[:, None]
    untouched = states_of(theirs, waveforms, attention_mask=mask.long())
    norm = theirs.feature_extractor.conv_layers[0].layer_norm
    whole = norm.forward

    def own_frames_only(hidden):
        normalized = torch.zeros_like(hidden)
        for index, samples in enumerate(SAMPLES):
            frames = (samples - 10) // 5 + 1
            normalized[index : index + 1, :, :frames] = whole(hidden[index : index + 1, :, :frames])
        return normalized

    monkeypatch.setattr(norm, "forward", own_frames_only)
    wanted = states_of(theirs, waveforms, attention_mask=mask.long())
    hidden, frames = load_upstream(tmp_path)(waveforms, lengths)
    for state, want, other in zip(hidden, wanted, untouched, strict=True):
        for index, count in enumerate(frames):
            torch.testing.assert_close(state[index, :count], want[index, :count], rtol=1e-4, atol=1e-5)
        assert not torch.allclose(state[0, : frames[0]], other[0, : frames[0]], atol=1e-3)


@pytest.mark.parametrize("kind", LARGE)
@torch.no_grad()
def test_padded_batches_of_large_models_are_transformers(kind, tmp_path):
    """No norm of theirs is over time, so that with an attention mask the padding changes nothing there either."""
    theirs = reference(kind)
    theirs.save_pretrained(tmp_path)
    waveforms, lengths = batch()
    mask = torch.arange(waveforms.shape[1]) < lengths[:, None]
    wanted = states_of(theirs, waveforms, attention_mask=mask.long())
    hidden, frames = load_upstream(tmp_path)(waveforms, lengths)
    for state, want in zip(hidden, wanted, strict=True):
        for index, count in enumerate(frames):
            torch.testing.assert_close(state[index, :count], want[index, :count], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ALL)
@torch.no_grad()
def test_our_checkpoints_of_every_kind_load_as_they_were_saved(kind, tmp_path):
    reference(kind).save_pretrained(tmp_path / "theirs")
    ours = load_upstream(tmp_path / "theirs")
    save_encoder(tmp_path / "ours", ours)
    again = load_upstream(tmp_path / "ours")
    assert again.config == ours.config
    waveforms, lengths = batch()
    for state, other in zip(ours(waveforms, lengths)[0], again(waveforms, lengths)[0], strict=True):
        assert torch.equal(state, other)


@pytest.mark.parametrize("kind", ALL)
@torch.no_grad()
def test_gradients_are_transformers(kind, tmp_path):
    theirs = reference(kind)
    theirs.save_pretrained(tmp_path)
    ours = load_upstream(tmp_path).requires_grad_(True)
    waveforms, lengths = batch()
    alone, direction = waveforms[1:2, :4321], torch.randn(24)
    with torch.enable_grad():
        (ours(alone, lengths[1:2])[0][-1] @ direction).sum().backward()
        (theirs(alone).last_hidden_state @ direction).sum().backward()
    layers = zip(ours.encoder.layers, theirs.encoder.layers, strict=True)
    pairs = [(mine.attention.q_proj.weight, other.attention.q_proj.weight) for mine, other in layers]
    pairs.append(
        (ours.feature_extractor.conv_layers[0].conv.weight, theirs.feature_extractor.conv_layers[0].conv.weight)
    )
    if kind.startswith("wavlm"):
        attention = theirs.encoder.layers[0].attention
        pairs.append((ours.encoder.rel_attn_embed.weight, attention.rel_attn_embed.weight))
        pairs.append((ours.encoder.layers[0].attention.gru_rel_pos_linear.weight, attention.gru_rel_pos_linear.weight))
    for mine, other in pairs:
        scale = other.grad.abs().max()
        assert scale > 0
        torch.testing.assert_close(mine.grad / scale, other.grad / scale, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("samples", [1000, 90000])
def test_every_bucket_of_distances_is_transformers(samples):
    theirs = transformers.WavLMModel(transformers.WavLMConfig(**SIZES)).encoder.layers[0].attention
    ours = Encoder(EncoderConfig(**SIZES)).encoder.rel_attn_embed
    distances = torch.arange(-samples, samples + 1)
    assert torch.equal(ours.bucket(distances), theirs._relative_positions_bucket(distances))


@torch.no_grad()
def test_old_names_heads_and_normalisation_of_a_checkpoint(tmp_path):
    """A CTC model, in half precision, with weight norm's names of before torch 2, whose inputs want normalising."""
    torch.manual_seed(0)
    theirs = transformers.HubertForCTC(transformers.HubertConfig(**SIZES, vocab_size=11)).eval().half()
    theirs.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    for new, old in (
        ("parametrizations.weight.original0", "weight_g"),
        ("parametrizations.weight.original1", "weight_v"),
    ):
        name = f"hubert.encoder.pos_conv_embed.conv.{new}"
        state[name.replace(new, old)] = state.pop(name)
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True}))
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    ours = load_upstream(tmp_path)
    waveforms, lengths = batch()
    waveforms = torch.where(waveforms == 0, 0.0, 3.0 + 0.01 * waveforms)
    hidden, frames = ours(waveforms, lengths)
    for index, samples in enumerate(SAMPLES):
        inputs = extractor(waveforms[index, :samples].numpy(), sampling_rate=16000, return_tensors="pt").input_values
        wanted = theirs.float().hubert(inputs).last_hidden_state
        torch.testing.assert_close(hidden[-1][index, : frames[index]], wanted[0], rtol=1e-3, atol=1e-3)


def test_wavlm_base_has_the_published_number_of_parameters():
    """94.70M in the document: the encoder, which is all that transformers has, and HuBERT's pretraining head.

    That head is a projection to 256 dimensions and 504 class embeddings (Hsu et al. 2021).
    """
    ours = sum(parameter.numel() for parameter in Encoder(EncoderConfig()).parameters())
    with torch.device("meta"):
        theirs = sum(p.numel() for p in transformers.WavLMModel(transformers.WavLMConfig()).parameters())
    assert ours == theirs == 94_381_936
    head = 768 * 256 + 256 + 504 * 256
    assert (ours + head) / 1e6 == pytest.approx(94.70, abs=0.01)


@pytest.mark.parametrize("kind", [*KINDS, "data2vec"])
def test_large_models_have_as_many_parameters_as_transformers(kind):
    sizes = {"hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 4096, "num_attention_heads": 16}
    configuration, model, _ = ALL[kind]
    form = {"feat_extract_norm": "layer", "do_stable_layer_norm": True} if kind in KINDS else {}
    with torch.device("meta"):
        theirs = model(configuration(**sizes, **form))
        ours = Encoder(EncoderConfig.from_dict(theirs.config.to_dict(), "here"))
    count = sum(parameter.numel() for parameter in ours.parameters())
    assert count == sum(parameter.numel() for parameter in theirs.parameters())
    assert 310e6 < count < 320e6


def test_what_cannot_be_loaded_is_refused_with_the_remedy(tmp_path):
    model = reference("hubert")
    model.save_pretrained(tmp_path / "good")
    config = json.loads((tmp_path / "good" / "config.json").read_text())

    def broken(name, weights=True, **changes):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config | changes))
        if weights:
            (folder / "model.safetensors").write_bytes((tmp_path / "good" / "model.safetensors").read_bytes())
        return folder

    pickled = broken("pickled", weights=False)
    torch.save(model.state_dict(), pickled / "pytorch_model.bin")
    for folder, message in (
        (pickled, r"pickled \(pytorch_model\.bin\).*save_pretrained"),
        (broken("none", weights=False), "model.safetensors: no such file"),
        (broken("adapter", add_adapter=True), "add_adapter is True, and only False is supported"),
        (broken("norm", feat_extract_norm="batch"), "feat_extract_norm is 'batch'; choose 'group' or 'layer'"),
        (broken("form", feat_extract_norm="layer"), "does not fit config.json"),
        (broken("other", model_type="sew"), "model_type 'sew'; choose one of wavlm, hubert, wav2vec2"),
        (broken("sizes", intermediate_size=41), "does not fit config.json"),
        (broken("depth", num_hidden_layers=2), "does not fit config.json"),
        (tmp_path, "config.json: no such file"),
    ):
        with pytest.raises(SecateurError, match=message):
            load_upstream(folder)


def test_an_utterance_of_no_frame_is_an_error(tmp_path):
    reference("wavlm").save_pretrained(tmp_path)
    with pytest.raises(SecateurError, match="an utterance of 49 samples is shorter than one frame of the encoder, 70"):
        load_upstream(tmp_path)(torch.zeros(2, 500), torch.tensor([500, 49]))
