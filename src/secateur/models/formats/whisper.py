"""Hugging Face folders of Whisper models, of any size: WhisperForConditionalGeneration.

The token list is the folder's vocabulary as it is; `tokenizer.json` spells text in it.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from secateur.core import hugging_face as hub
from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json
from secateur.core.waves import WIDTH
from secateur.models.formats import RATE, Description

SHOWN = {
    "called": "a Hugging Face folder of Whisper",
    "files": "config.json, generation_config.json, model.safetensors, tokenizer.json, preprocessor_config.json",
    "order": 40,
}
ARCHITECTURES = {"whisper": "WhisperForConditionalGeneration"}
GENERATION, SPELLING = "generation_config.json", "tokenizer.json"
OTHERS = ("normalizer.json", "merges.txt")
MEL = {"feature_size": 80, "sampling_rate": 16000, "hop_length": 160, "chunk_length": 30, "n_fft": 400}
"""Options of the feature extractor that count, with transformers' defaults."""
FEATURES = {"front_end": "waves"}
START, NO_TIMESTAMPS, TASK = "<|startoftranscript|>", "<|notimestamps|>", "<|transcribe|>"


def recognise(folder: Path) -> bool:
    """Whether the type of the model is `whisper`."""
    return hub.config_of(folder).get("model_type") in ARCHITECTURES


def describe(folder: Path) -> Description:
    """What the folder's small files say."""
    values = hub.config_of(folder)
    hub.architecture(folder, values, ARCHITECTURES)
    for name in (GENERATION, SPELLING):
        if not (folder / name).is_file():
            raise SecateurError(
                f"{folder / name}: no such file; a newer transformers writes it: "
                "WhisperProcessor.from_pretrained(FOLDER).save_pretrained(FOLDER), and likewise the model"
            )
    generation = read_json(folder / GENERATION)
    multilingual = is_multilingual(folder / GENERATION, generation)
    tokens = vocabulary(folder, values["vocab_size"], multilingual)
    found, notes = hub.preprocessor(folder), []
    if found is None:
        notes = [f"has no {hub.PREPROCESSORS[0]}: log-mel energies are those of transformers' defaults"]
    mel = MEL | {"feature_size": values.get("num_mel_bins", 80)} | {k: v for k, v in (found or {}).items() if k in MEL}
    window = mel["chunk_length"] * mel["sampling_rate"] // mel["hop_length"]
    if mel["sampling_rate"] == RATE and window != 2 * values["max_source_positions"]:
        raise SecateurError(
            f"{folder}: {hub.PREPROCESSORS[0]} has chunk_length {mel['chunk_length']}, and config.json "
            f"max_source_positions {values['max_source_positions']}; they must be of the same window"
        )
    files = hub.present(folder, hub.CONFIG, GENERATION, hub.WEIGHTS[0], SPELLING, *hub.TOKENIZER, *hub.PREPROCESSORS)
    if not (folder / hub.WEIGHTS[0]).is_file():
        files += hub.present(folder, hub.WEIGHTS[1])
    model = entry(values, generation, mel, 4 if multilingual else 2)
    return Description(model, tokens, FEATURES, files, folder / SPELLING, mel["sampling_rate"], notes)


def entry(values: dict[str, Any], generation: dict[str, Any], mel: dict[str, Any], prompt: int) -> dict[str, Any]:
    """The configuration of the model; `encoder.layers` counts the decoder's, too, as all are numbered through."""
    encoder = {
        "type": "whisper",
        "layers": values["encoder_layers"] + values["decoder_layers"],
        "dim": values["d_model"],
        "heads": values["encoder_attention_heads"],
        "ffn": values["encoder_ffn_dim"],
        "dropout": values.get("dropout", 0.0),
        "attention_dropout": values.get("attention_dropout", 0.0),
    }
    decoder = {
        "layers": values["decoder_layers"],
        "heads": values["decoder_attention_heads"],
        "ffn": values["decoder_ffn_dim"],
        "dropout": values.get("dropout", 0.0),
    }
    parts = {"whisper": values, "generation": generation, "mel": mel, "prompt": prompt}
    heard = f"window:{mel['chunk_length']}"
    parts |= {"features": WIDTH, "front_end": FEATURES, "input": heard}
    return {"type": "whisper", "encoder": encoder, "decoder": decoder, **parts}


def is_multilingual(file: Path, generation: Any) -> bool:
    """Whether the prompt has a language and a task. Raises SecateurError where generation would not know them."""
    told = generation.get("is_multilingual") if isinstance(generation, dict) else None
    if told is None or (told and not {"lang_to_id", "task_to_id"} <= generation.keys()):
        raise SecateurError(
            f"{file}: does not say which languages and tasks the model knows (is_multilingual, lang_to_id, "
            "task_to_id); copy that file from the model that this one was made of"
        )
    return bool(told)


def vocabulary(folder: Path, size: int, multilingual: bool) -> list[str]:
    """The names of all tokens by their number; outputs without a token get a name of their own.

    So does the task for a model of English alone: its tokenizer names it, and the model never read it.
    """
    found = read_json(folder / SPELLING)
    try:
        names = {number: token for token, number in found["model"]["vocab"].items()}
        names |= {token["id"]: token["content"] for token in found["added_tokens"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise SecateurError(
            f"{folder / SPELLING}: not a tokenizer of byte-pair pieces; take that of the model"
        ) from error
    if START not in names.values() or NO_TIMESTAMPS not in names.values():
        raise SecateurError(f"{folder / SPELLING}: has no {START} or {NO_TIMESTAMPS}; take the tokenizer of the model")
    if not multilingual:
        names = {number: token for number, token in names.items() if token != TASK}
    return [names.get(number, f"<|unnamed-{number}|>") for number in range(size)]


def load(folder: Path) -> Any:
    """The model, as transformers builds it (`secateur.models.whisper`)."""
    from secateur.models.formats.weights import read_weights, rebuilt, whole_file
    from secateur.models.whisper import from_hugging_face

    description = describe(folder)
    file = whole_file(folder, *hub.WEIGHTS)
    tensors = {name: value.float() for name, value in read_weights(file).items()}
    return rebuilt(description, from_hugging_face(tensors), file)


def export(loaded: Any, source: Path, folder: Path) -> None:
    """Write a model, which may have lost weights and layers, as a folder that `from_pretrained` loads.

    Raises SecateurError for a model that lost heads, of which transformers has no class.
    """
    from secateur.models.formats.weights import check_form
    from secateur.models.tensors import save_foreign
    from secateur.models.whisper import to_hugging_face

    check_form(loaded, folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_foreign(folder / hub.WEIGHTS[0], to_hugging_face(loaded.model.state_dict()))
    encoder, decoder = map(len, loaded.model.layer_stacks)
    layers = {"encoder_layers": encoder, "decoder_layers": decoder, "num_hidden_layers": encoder}
    write_json(folder / hub.CONFIG, hub.config_of(source) | layers)
    # Heads for timestamps are named by layer, and are others now; nothing here uses them.
    generation = {key: value for key, value in read_json(source / GENERATION).items() if key != "alignment_heads"}
    write_json(folder / GENERATION, generation)
    for file in hub.present(source, SPELLING, *OTHERS, *hub.TOKENIZER, *hub.PREPROCESSORS):
        shutil.copyfile(file, folder / file.name)


def with_encoder(encoder: Any, source: Path) -> Any:
    """The model in the folder `source` with another encoder: its own, pruned, out of a section `ssl`."""
    from dataclasses import asdict

    from secateur.models.formats.weights import rebuilt
    from secateur.models.upstream.names import to_whisper

    found = describe(source)
    values = found.model["whisper"] | {"encoder_layers": len(encoder.config.shapes)}
    model = entry(values, found.model["generation"], found.model["mel"], found.model["prompt"])
    if encoder.config.layers is not None:
        model["shapes"] = [asdict(shape) for shape in encoder.config.layers]
    decoder = {name: value for name, value in load(source).model.state_dict().items() if name.startswith("decoder.")}
    return rebuilt(replace(found, model=model), decoder | to_whisper(encoder.state_dict()), source)
