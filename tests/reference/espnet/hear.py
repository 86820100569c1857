"""What ESPnet itself makes of a folder: `espnet2.bin.asr_inference.Speech2Text`, one utterance at a time.

    python tests/reference/espnet/hear.py FOLDER … < {"utterance": "file", …}

prints, as JSON in one last line, what `heard` gives of each folder. ESPnet imports more than it uses here, much of it
without a build beside CPU torch: modules that are not installed are stood in for by empty ones.
"""

import importlib.machinery
import json
import os
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import soundfile
import torch
import yaml

from secateur.speech.front_ends.stft import mel_filters

SEARCHES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beam": {"beam_size": 4, "ctc_weight": 0.3},
    "beam-lm": {"beam_size": 4, "ctc_weight": 0.3, "lm_weight": 0.4, "penalty": 0.1},
}
MISSING = (
    *("ci_sdr", "einops", "fast_bss_eval", "g2p_en", "h5py", "hydra", "jaconv", "jamo", "librosa", "nltk", "numba"),
    *("omegaconf", "opt_einsum", "scipy", "tacotron_cleaner", "torch_complex", "torchaudio", "warprnnt_pytorch"),
)
"""What ESPnet imports that is not among this project's requirements."""


class Anything:
    """A class to inherit from, or a decorator that leaves a function as it is."""

    def __init__(self, *_: Any, **__: Any):
        pass

    def __call__(self, *found: Any, **_: Any) -> Any:
        return found[0] if found else self


class StandIn:
    """Finds, and makes, empty modules instead of those that are `MISSING`; what is installed is found before."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        wanted = name.partition(".")[0] in MISSING
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if wanted else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        def anything(name: str) -> type:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (Anything,), {})

        module = types.ModuleType(spec.name)
        module.__getattr__ = anything
        module.__version__ = "0"
        vars(module).update(USED.get(spec.name, {}))
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        pass


class _IsComplex(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return torch.is_tensor(value) and value.is_complex()


class ComplexTensor(metaclass=_IsComplex):
    """`torch_complex.ComplexTensor` by torch's own complex numbers."""

    def __new__(cls, real: torch.Tensor, imag: torch.Tensor) -> Any:
        return torch.complex(real, imag)


def _mel(sr: int, n_fft: int, n_mels: int, fmin: float, fmax: float, htk: bool) -> Any:
    return mel_filters(sr, n_fft, n_mels, fmin, fmax, htk).T


USED: dict[str, dict[str, Any]] = {
    "librosa": {"filters": types.SimpleNamespace(mel=_mel)},
    "torch_complex.tensor": {"ComplexTensor": ComplexTensor},
}
"""What ESPnet's front end does use, by module. It then takes the mel filters of the checkpoint, if there are some."""


def stand_in() -> None:
    sys.meta_path.append(StandIn())


def heard(folder: Path, waves: Mapping[str, Path]) -> dict[str, Any]:
    """`hypotheses`, by search and utterance, of ESPnet's own classes, and some `numbers` of the first utterance.

    Args:
        folder: as ESPnet packs it, with meta.yaml, which names files relative to it.
        waves: by utterance, a file.
    """
    meta, before = yaml.safe_load((folder / "meta.yaml").read_text()), Path.cwd()
    samples = {name: torch.from_numpy(soundfile.read(path, dtype="float32")[0]) for name, path in waves.items()}
    os.chdir(folder)
    try:
        return _heard(meta["files"], meta["yaml_files"], samples)
    finally:
        os.chdir(before)


def _heard(files: Mapping[str, str], yamls: Mapping[str, str], waves: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    from espnet2.bin.asr_inference import Speech2Text

    config = yaml.safe_load(Path(yamls["asr_train_config"]).read_text())
    transducer, found = config.get("decoder") == "transducer", {}
    for name, search in SEARCHES.items():
        if name == "beam-lm" and "lm_file" not in files:
            continue
        search = dict(search)
        if search and config["model_conf"]["ctc_weight"] == 1.0:
            search["ctc_weight"] = 1.0  # there is no decoder to choose what CTC looks at
        if transducer:
            search = {"beam_size": 1 if name == "greedy" else 4}
        if name == "beam-lm":
            search |= {"lm_train_config": yamls["lm_train_config"], "lm_file": files["lm_file"]}
        recognizer = Speech2Text(yamls["asr_train_config"], files["asr_model_file"], maxlenratio=0.0, **search)
        greedy = name == "greedy" and not transducer
        found[name] = {key: (_greedy if greedy else _best)(recognizer, wave) for key, wave in waves.items()}
    return {"hypotheses": found, "numbers": _numbers(recognizer.asr_model, next(iter(waves.values())))}


def _encoded(model: torch.nn.Module, wave: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        hidden, _ = model.encode(wave[None], torch.tensor([len(wave)]))
    return hidden[0] if isinstance(hidden, tuple) else hidden


def _greedy(recognizer: Any, wave: torch.Tensor) -> str:
    """The best path of the CTC head."""
    model = recognizer.asr_model
    best = torch.unique_consecutive(model.ctc.argmax(_encoded(model, wave))[0])
    units = recognizer.converter.ids2tokens([int(index) for index in best if index != 0])
    return recognizer.tokenizer.tokens2text(units)


def _best(recognizer: Any, wave: torch.Tensor) -> str:
    answer = recognizer(wave)
    return (answer[0] if isinstance(answer, tuple) else answer)[0][0]


def _numbers(model: torch.nn.Module, wave: torch.Tensor) -> dict[str, Any]:
    with torch.no_grad():
        feats, _ = model.frontend(wave[None], torch.tensor([len(wave)]))
    shown, hidden = feats[0, :: max(1, feats.shape[1] // 5), ::10], _encoded(model, wave)[0, ::5, ::8]
    return {"features": shown.tolist(), "frames": feats.shape[1], "encoder": hidden.tolist()}


if __name__ == "__main__":
    stand_in()
    speech = {name: Path(file).resolve() for name, file in json.load(sys.stdin).items()}
    print(json.dumps({folder: heard(Path(folder), speech) for folder in sys.argv[1:]}))
