"""Hugging Face folders of CTC models: wav2vec 2.0, HuBERT, WavLM and data2vec audio, base and large.

The token list is the folder's vocabulary with the names of this project: the padding token, which is the blank, comes
first, the end of a sentence last. What the vocabulary lacks of these is an output that is never chosen, and is left out
again on export. transformers is not needed.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from secateur.core import hugging_face as hub
from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json
from secateur.core.waves import STEP, WIDTH
from secateur.models.formats import Description
from secateur.models.upstream.config import EncoderConfig

SHOWN = {
    "called": "a Hugging Face folder of a CTC model",
    "files": "config.json, model.safetensors, vocab.json",
    "order": 30,
}
ARCHITECTURES = {
    "wav2vec2": "Wav2Vec2ForCTC",
    "hubert": "HubertForCTC",
    "wavlm": "WavLMForCTC",
    "data2vec-audio": "Data2VecAudioForCTC",
}
TOKENIZERS = ("Wav2Vec2CTCTokenizer", "Wav2Vec2Tokenizer")
SPECIAL = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "</s>", "word_delimiter_token": "|"}
"""Keys of a tokenizer's configuration, with the tokens that transformers takes by default."""
FEATURES = {"front_end": "waves"}
NEVER = -1e4
"""The logit of an output that the folder's model has not."""


def recognise(folder: Path) -> bool:
    """Whether the type of the model is one of these."""
    return hub.config_of(folder).get("model_type") in ARCHITECTURES


def describe(folder: Path) -> Description:
    """What the folder's small files say."""
    values = hub.config_of(folder)
    hub.architecture(folder, values, ARCHITECTURES)
    found, notes = hub.preprocessor(folder), []
    if found is None:
        notes = [
            f"has no {hub.PREPROCESSORS[0]}: every waveform is brought to mean 0 and variance 1, as transformers does "
            'if nothing is said; where that is wrong, add the file with {"do_normalize": false}'
        ]
    normalize = (found or {}).get("do_normalize", True)
    upstream = EncoderConfig.from_dict({**values, "do_normalize": normalize, "layers": None}, str(folder / hub.CONFIG))
    tokens, _ = vocabulary(folder, values)
    files = hub.present(folder, hub.CONFIG, *hub.WEIGHTS[:1], *hub.TOKENIZER, *hub.PREPROCESSORS)
    if not (folder / hub.WEIGHTS[0]).is_file():
        files += hub.present(folder, hub.WEIGHTS[1])
    rate = (found or {}).get("sampling_rate", 16000)
    return Description(entry(upstream), tokens, FEATURES, files, rate=rate, notes=notes)


def entry(upstream: EncoderConfig) -> dict[str, Any]:
    """The configuration of the dense model with this encoder."""
    encoder = {
        "type": upstream.model_type,
        "layers": upstream.num_hidden_layers,
        "dim": upstream.hidden_size,
        "heads": upstream.num_attention_heads,
        "ffn": upstream.intermediate_size,
        "dropout": upstream.hidden_dropout,
        "attention_dropout": upstream.attention_dropout,
    }
    sizes = {key: list(value) if isinstance(value, tuple) else value for key, value in upstream.to_dict().items()}
    # The convolutions make as many frames as stacking would.
    heard = {"features": WIDTH, "front_end": FEATURES, "input": "stack", "stack": max(1, upstream.hop // STEP)}
    return {"type": "hf_ctc", **heard, "encoder": encoder, "upstream": sizes}


def load(folder: Path) -> Any:
    """The model, on ESPnet2's parts (`secateur.models.hf_ctc`)."""
    from secateur.models.formats.weights import read_weights, rebuilt, whole_file
    from secateur.models.hf_ctc import from_encoder

    description = describe(folder)
    _, rows = vocabulary(folder, hub.config_of(folder))
    file = whole_file(folder, *hub.WEIGHTS)
    tensors = {name: value.float() for name, value in read_weights(file).items()}
    return rebuilt(description, from_encoder(tensors, description.model, rows, NEVER, str(file)), file)


def export(loaded: Any, source: Path, folder: Path) -> None:
    """Write a model, which may have lost weights and layers, as a folder that `from_pretrained` loads.

    Raises SecateurError for a model that lost heads, of which transformers has no class.
    """
    from secateur.models.formats.weights import check_form
    from secateur.models.hf_ctc import to_encoder
    from secateur.models.surgery.layers import layer_numbers
    from secateur.models.tensors import save_foreign

    check_form(loaded, folder)
    values = hub.config_of(source)
    _, rows = vocabulary(source, values)
    folder.mkdir(parents=True, exist_ok=True)
    save_foreign(folder / hub.WEIGHTS[0], to_encoder(loaded.model.state_dict(), loaded.config, rows))
    write_json(folder / hub.CONFIG, values | {"num_hidden_layers": len(layer_numbers(loaded.model))})
    for file in hub.present(source, *hub.TOKENIZER, *hub.PREPROCESSORS):
        shutil.copyfile(file, folder / file.name)


def with_encoder(encoder: Any, source: Path) -> Any:
    """The model in the folder `source` with another encoder: its own, pruned, out of a section `ssl`."""
    from secateur.models.formats.weights import rebuilt
    from secateur.models.hf_ctc import from_upstream

    head = {name: value for name, value in load(source).model.state_dict().items() if name.startswith("ctc.")}
    tensors = head | from_upstream(encoder.state_dict(), encoder.config)
    return rebuilt(replace(describe(source), model=entry(encoder.config)), tensors, source)


def vocabulary(folder: Path, config: dict[str, Any]) -> tuple[list[str], list[int | None]]:
    """The token list under our names, and the row of the folder's output layer of each; None where it has none."""
    file = folder / hub.TOKENIZER[0]
    units = read_json(file) if file.is_file() else None
    options = read_json(folder / hub.TOKENIZER[1]) if (folder / hub.TOKENIZER[1]).is_file() else {}
    _check(folder, units, options)
    special = {key: _content(options.get(key)) or default for key, default in SPECIAL.items()}
    names = {row: unit for unit, row in units.items()}
    for row, entry in options.get("added_tokens_decoder", {}).items():
        names.setdefault(int(row), _content(entry))
    if (folder / hub.TOKENIZER[3]).is_file():
        names = {row: unit for unit, row in read_json(folder / hub.TOKENIZER[3]).items()} | names
    blank = config.get("pad_token_id", 0)
    if names.get(blank) != special["pad_token"]:
        raise SecateurError(
            f"{folder}: config.json has pad_token_id {blank}, the token {names.get(blank)!r}, and the tokenizer's is "
            f"{special['pad_token']!r}; the blank must be the same in both"
        )
    rows = {names.get(row, f"<unnamed-{row}>"): row for row in range(config.get("vocab_size", len(names)))}
    first, last = special["pad_token"], special["eos_token"]
    order = [first, *(unit for unit in rows if unit not in (first, last)), last]
    if special["unk_token"] not in order:
        order.insert(1, special["unk_token"])
    ours = {
        first: "<blank>",
        last: "<sos/eos>",
        special["unk_token"]: "<unk>",
        special["word_delimiter_token"]: "<space>",
    }
    return [ours.get(unit, unit) for unit in order], [rows.get(unit) for unit in order]


def _content(token: Any) -> str:
    """A token as the files write it: by itself, or with how it is treated."""
    return (token.get("content") if isinstance(token, dict) else token) or ""


def _check(folder: Path, units: Any, options: dict[str, Any]) -> None:
    file = folder / hub.TOKENIZER[0]
    if units is None:
        raise SecateurError(f"{file}: no such file; a CTC model needs its vocabulary: copy it from where the model is")
    if not isinstance(units, dict) or not all(isinstance(row, int) for row in units.values()):
        raise SecateurError(
            f"{file}: not one vocabulary, but one for each of several languages or something else; take a model of one"
        )
    found = options.get("tokenizer_class", TOKENIZERS[0])
    if found not in TOKENIZERS:
        raise SecateurError(
            f"{folder / hub.TOKENIZER[1]}: the tokenizer is {found}; expected {TOKENIZERS[0]}, a model of letters"
        )
