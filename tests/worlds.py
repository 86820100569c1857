"""Two studies made by hand: one in which every claim of the documents and of ours is true, and one in which none is.

Both have the same systems, three seeds and four languages. A system's errors are those words of a fixed random draw
that are below its rate, so systems with the same rate make the same errors, and a higher rate only adds some.
"""

import itertools
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from decodings import write_decoding
from timings import write_times

from secateur.core.files import write_json, write_text, write_tsv
from secateur.heads import study as heads
from secateur.layers import study as layers
from secateur.layers.rtf import depth_name
from secateur.overview.study import all_decodings
from secateur.ssl import study as upstreams
from secateur.ssl.scales import superb_scale
from secateur.ssl.study import UpstreamRun
from secateur.study.runs import Decoding, ModelRun, model_runs

LANGUAGES = ["en", "fr", "it", "nl"]
SEEDS = [1, 2, 3]
SPLITS = ["test", "noisy"]
UTTERANCES, WORDS, SPEAKERS = 60, 20, 20
TIMED = 20
"""Utterances that are timed."""
STARTS = [["lth", 0.5], ["lth", 0.7]]
GATES = {"type": "gates", "training": "short", "sparsity": 0.72, "straight_through": True}
FINE, WHOLE_HEADS = ["mha", "ffn", "qk", "vo", "int"], ["mha", "ffn", "heads", "int"]
NOTHING = {"layers": [], "weight": 0.3}
MODEL = {"type": "ctc", "training": "long", "encoder": {"layers": 3}}


def _variant(name: str, places: list[int]) -> dict[str, Any]:
    inner = {"layers": places, "weight": 0.5}
    return {"name": name, "training": "short", "intermediate_ctc": inner, "stochastic_depth": 0.0, "rise": 0}


def _layers(model: str, strategies: list[str], depths: list[int], trained: list[int]) -> dict[str, Any]:
    about = {"corpus": "talk", "model": model, "of": "encoder", "variant": None}
    how = {"searches": ["greedy"], "rtf_budgets": [], "strategies": strategies}
    return about | how | {"depths": depths, "trained": trained}


STEP = dict.fromkeys(("layers", "heads", "channels", "mask", "sparsity", "recover"))
STEP |= {"schedule": "levels", "of": "encoder"}
COMPOSED = "compose--layers-svcca-2--mask-lap-500"
CONFIG: dict[str, Any] = {
    "study": "worlds",
    "corpora": {"talk": {"recipe": "espeak", "languages": LANGUAGES}},
    "models": {
        "ctc": MODEL | {"intermediate_ctc": {"layers": [1], "weight": 0.3}, "stochastic_depth": 0.1},
        "plain": MODEL | {"stochastic_depth": 0.0},
        "ctc-depth2": MODEL | {"stochastic_depth": 0.0},
    },
    "training": {"long": {"steps": 100}, "short": {"steps": 10}},
    "searches": {
        "greedy": {"type": "ctc_greedy"},
        "beam": {"type": "beam"},
        "beam-lm": {"type": "beam", "lm": "chars"},
    },
    "language_models": {"chars": {}},
    "dense": [
        {"corpus": "talk", "model": "ctc", "scopes": ["all"], "searches": ["greedy", "beam", "beam-lm"]},
        {"corpus": "talk", "model": "plain", "scopes": ["all"]},
        {"corpus": "talk", "model": "ctc-depth2", "scopes": ["all"]},
    ],
    "pruning": {"levels": {"levels": [0.5, 0.7], "training": "short", "steps_per": "all"}},
    "prune": [
        {
            **{"corpus": "talk", "model": "ctc", "schedule": "levels", "variant": None, "reference": None},
            **{"methods": ["imp", "lth", "imp-adaptive", "lth-adaptive", "lap"], "searches": ["greedy"]},
            "pathways": [
                {"languages": codes, "method": method, "start": start}
                for codes in (["fr", "nl"], LANGUAGES)
                for method, start in (("pathways", [["lth", 0.7]]), ("dynamic", STARTS))
            ],
        }
    ],
    "layers": [_layers("ctc", ["svcca", "random"], [2, 1], [2]), _layers("plain", ["svcca"], [2], [])],
    "regularise": [
        {
            **{"corpus": "talk", "model": "plain", "scratch": None, "searches": ["greedy"]},
            "variants": [_variant("interctc", [1]), _variant("control", [])],
        }
    ],
    "heads": [
        {
            **{"corpus": "talk", "model": "ctc", "importances": ["gradient", "gradient-layer-l2"]},
            **{"policies": ["global", "by-layer"], "shares": [0.5], "recovery": None, "searches": ["greedy"]},
            **{"latency": {"searches": ["greedy"]}, "lms": ["beam", "beam-lm"]},
            "combine": {"depth": 2, "strategy": "svcca", "policy": "global", "share": 0.5, "recovery": False},
        }
    ],
    "ssl": [
        {
            **{"name": "small", "corpus": "talk", "folder": None, "speed": {"base": 0}},
            "tasks": {task: {"source": "official"} for task in superb_scale().tasks},
            "pretraining": {"iterations": [{"training": "short"}]},
            "students": [
                {"name": "proposed", "kinds": FINE, **GATES},
                {"name": "without-fahp", "kinds": WHOLE_HEADS, **GATES},
                {"name": "without-ste", "kinds": FINE, **GATES, "straight_through": False},
                {"name": "distilled", "type": "layers", "training": "short"},
            ],
        }
    ],
    "exits": [],
    "compose": [
        {
            **{"corpus": "talk", "model": "ctc", "searches": ["greedy"], "importance": "gradient"},
            "chains": [[STEP | {"layers": 2, "strategy": "svcca"}, STEP | {"mask": "lap", "sparsity": 0.5}]],
        }
    ],
    "conditions": {"noisy": {"type": "noise", "noise": "white", "snr": 10, "of": "test"}},
    "decode": {"splits": SPLITS, "searches": ["greedy"]},
    "seeds": SEEDS,
}
ORDERS = {"svcca": {"2": [1, 3], "1": [3]}, "random": {"2": [1, 2], "1": [1]}}
SETS = {
    ("gradient", "global"): "important",
    ("gradient-layer-l2", "global"): "normalised",
    ("gradient", "by-layer"): "lowest",
}
COSTS = {"parameters": 9, "nonzero": 9, "macs_per_second": 9, "peak_memory": 9}
DEPTH, BOTH = "depth-svcca-2", "depth-svcca-2--heads-global-500"


@dataclass(frozen=True)
class World:
    """What was measured.

    Attributes:
        rates: errors per word, by method of a model; of `method split`, `model search` and `model sub-model`, where
            that differs.
        seconds: by name of a search, a set of heads or a method.
        depths: the time of two layers in times of three.
        theta: bytes of a sparse file with the masks of all languages; that of one language's model has 300.
        peaks: highest losses of the late model with intermediate CTC, and of the control.
        errors: of encoders in percent, between the 60 of log-mel features and the 20 of WavLM Large on SUPERB's scale.
        encoding: seconds with straight-through gradients, and without.
        kept: the layer of the pruned encoder, of two, that anything is left of.
    """

    rates: Mapping[str, float]
    seconds: Mapping[str, float]
    depths: float
    theta: int
    peaks: tuple[float, float]
    errors: Mapping[str, float]
    encoding: tuple[float, float]
    kept: int


TRUE = World(
    rates={
        **{"dense": 0.30, "ctc beam": 0.30, "ctc beam-lm": 0.30, "late-interctc": 0.30, "late-control": 0.30},
        **{"imp": 0.36, "imp noisy": 0.50, "imp-adaptive": 0.30, "lth": 0.33, "lth-adaptive": 0.28, "lap": 0.60},
        **{"pathways-lth-s700": 0.29, "dynamic-lth-s500": 0.20, "dynamic-lth-s700": 0.25},
        **{"ctc 1,3": 0.30, "ctc 1,2": 0.50, "ctc 3": 0.50, "ctc 1": 0.80, "plain 1,3": 0.50},
        **{"ctc important": 0.35, "ctc normalised": 0.35, "ctc lowest": 0.55, DEPTH: 0.30, BOTH: 0.30},
        COMPOSED: 0.25,
    },
    seconds={"beam": 0.4, "beam-lm": 1.0, "important": 0.8, "normalised": 0.8, "lowest": 0.4, DEPTH: 0.7, BOTH: 0.5}
    | {COMPOSED: 0.45},
    depths=0.3,
    theta=300,
    peaks=(30.0, 20.0),
    errors={"proposed": 25.0, "without-fahp": 40.0, "without-ste": 25.0, "distilled": 50.0},
    encoding=(1.0, 2.0),
    kept=2,
)
FALSE = World(
    rates={
        **{"dense": 0.30, "ctc beam": 0.40, "ctc beam-lm": 0.20, "late-interctc": 0.30, "late-control": 0.30},
        **{"imp": 0.30, "imp noisy": 0.20, "imp-adaptive": 0.36, "lth": 0.33, "lth-adaptive": 0.42, "lap": 0.20},
        **{"pathways-lth-s700": 0.36, "dynamic-lth-s500": 0.45, "dynamic-lth-s700": 0.40},
        **{"ctc 1,3": 0.50, "ctc 1,2": 0.30, "ctc 3": 0.80, "ctc 1": 0.50, "plain 1,3": 0.20},
        **{"ctc important": 0.35, "ctc normalised": 0.35, "ctc lowest": 0.20, DEPTH: 0.30, BOTH: 0.50},
        COMPOSED: 0.90,
    },
    seconds={"beam": 0.9, "beam-lm": 1.0, "important": 0.8, "normalised": 1.2, "lowest": 1.2, DEPTH: 0.5, BOTH: 0.7}
    | {COMPOSED: 0.95},
    depths=0.9,
    theta=900,
    peaks=(20.0, 30.0),
    errors={"proposed": 50.0, "without-fahp": 30.0, "without-ste": 30.0, "distilled": 30.0},
    encoding=(2.0, 1.0),
    kept=1,
)


def build(root: Path, world: World) -> Path:
    """Write all that claims are tested with."""
    for decoding in all_decodings(CONFIG):
        run, kind = decoding.run, type(decoding).__name__
        parts = {"DepthDecoding": ["1,3", "1,2", "3", "1"], "HeadsDecoding": list(SETS.values())}.get(kind, [""])
        if kind == "DepthDecoding" and run.model == "plain":
            parts = ["1,3"]
        rows = [row for part in parts for row in _rows(world, decoding, part)]
        write_decoding(root / decoding.folder, decoding.language, utterances=rows, split=decoding.split)
    spoken = "".join(f"u{number} s{number % SPEAKERS}\n" for number in range(UTTERANCES))
    for language, split in itertools.product(LANGUAGES, SPLITS):
        write_text(root / f"data/talk/{language}/{split}/utt2spk", spoken)
    size = {"bytes": 1000, "mask_bytes": 40, "sparse_bytes": 300, "sparse_bytes_each": {"all": 300}} | COSTS
    several = size | {"sparse_bytes": world.theta, "sparse_bytes_each": dict.fromkeys(LANGUAGES, 200)}
    parts = {"1,3": 900, "1,2": 900, "3": 200, "1": 200}
    several["sub_models"] = {part: COSTS | {"bytes": stored} for part, stored in parts.items()}
    sizes = {run.folder: several if run.scope == "all" else size for run in model_runs(CONFIG)}
    sizes |= {folder: size | {"sparse_bytes": 250} for folder in sizes if COMPOSED in folder}
    sizes |= {run.folder: size for run in heads.checkpoints(CONFIG)}
    write_json(root / "sizes.json", sizes)
    for run in model_runs(CONFIG):
        if run.mask_changes:
            row = {"step": 5, "kept": 300, "removed": 9, "regrown": 9}
            write_tsv(root / run.folder / "adaptations.tsv", tuple(row), [row])
    _write_layers(root, world)
    _write_heads(root, world)
    _write_encoders(root, world)
    write_times(root, CONFIG, partial(_seconds, world), [1.0] * TIMED)
    return root


def _seconds(world: World, run: ModelRun, search: str, part: str) -> list[tuple[float, float, float]]:
    """Of every utterance: exactly 1 s for a whole model by greedy search, and the like for its depths."""
    if part.startswith(depth_name("")):
        return [(world.depths, 0.0, 0.0)] * TIMED
    name = next((name for name in (part, run.method, search) if name in world.seconds), "")
    if not name:
        return [(1.0, 0.0, 0.0)] * TIMED
    generator = np.random.default_rng(zlib.crc32(f"{name} {run.seed}".encode()))
    return [(world.seconds[name] * generator.uniform(0.99, 1.01), 0.0, 0.0) for _ in range(TIMED)]


def _rows(world: World, decoding: Decoding, part: str) -> list[dict[str, Any]]:
    run = decoding.run
    keys = (f"{run.method} {decoding.split}", f"{run.model} {part or decoding.search}", run.method, "dense")
    rate = next(world.rates[key] for key in keys if key in world.rates)
    seed = zlib.crc32(f"{decoding.language} {run.seed}".encode())
    errors = (np.random.default_rng(seed).random((UTTERANCES, WORDS)) < rate).sum(axis=1)
    counts = {"words": WORDS, "characters": 5 * WORDS}
    return [
        ({"sub_model": part} if part else {})
        | {"utterance": f"u{place}", **counts, "errors": int(wrong), "character_errors": int(wrong)}
        for place, wrong in enumerate(errors)
    ]


def _write_layers(root: Path, world: World) -> None:
    for entry, run in layers.runs(CONFIG):
        for strategy in entry["strategies"]:
            found = {depth: {"layers": kept} for depth, kept in ORDERS[strategy].items()}
            write_json(root / layers.order_file(run, strategy), {"depths": found})
    for seed in SEEDS:
        for name, peak in zip(("interctc", "control"), world.peaks, strict=True):
            run = layers.late_run(CONFIG["regularise"][0], name, seed)
            write_json(root / run.folder / "run.json", {"initial_loss": 10.0})
            rows = [{"step": 1, "dev_loss": peak}, {"step": 2, "dev_loss": 5.0}]
            write_tsv(root / run.folder / "history.tsv", ("step", "dev_loss"), rows)


def _write_heads(root: Path, world: World) -> None:
    for _, run in heads.runs(CONFIG):
        systems = [
            {"importance": importance, "policy": policy, "share": 0.5, "set": name}
            for (importance, policy), name in SETS.items()
        ]
        sets = {name: COSTS | {"bytes": 950} for name in SETS.values()}
        write_json(root / heads.removals_file(run), {"systems": systems, "sets": sets, "doubts": {}})
        write_json(root / heads.perplexity_file("talk", "chars", run.seed), {"parameters": 9})


def _write_encoders(root: Path, world: World) -> None:
    shape: dict[str, Any] = {
        "model_type": "wavlm",
        "hidden_size": 8,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "intermediate_size": 16,
    }
    left, nothing = {"heads": [0], "qk": [4], "vo": [4], "ffn": 8}, {"heads": None, "qk": [], "vo": [], "ffn": None}
    for seed in SEEDS:
        zeros = dict.fromkeys(upstreams.BASELINES, 60.0)
        for name, wer in {**zeros, "teacher": 20.0, **world.errors}.items():
            write_json(root / UpstreamRun("small", name, seed).scores, {"tasks": _superb((60 - wer) / 40)})
        for part in ("iteration1", *world.errors):
            pruned = {"layers": [left, nothing] if world.kept == 1 else [nothing, left]} if part == "proposed" else {}
            write_json(root / UpstreamRun("small", part, seed).folder / "config.json", shape | pruned)
            write_json(root / UpstreamRun("small", part, seed).folder / "run.json", {"steps": 1})
        times = dict.fromkeys(world.errors, 1.5) | {"teacher": 4.0}
        times |= dict(zip(("proposed", "without-ste"), world.encoding, strict=True))
        models = [
            {
                **{"model": name, "parameters": 1000 if name == "teacher" else 280},
                "seconds": [[took, took], [1.01 * took, took], [took, took]],
            }
            for name, took in times.items()
        ]
        facts = {"utterances": {"a": 1.0, "b": 1.0}, "doubt": ""}
        write_json(root / upstreams.speed_file("small", seed, base=False), facts | {"models": models})


def _superb(share: float) -> dict[str, Any]:
    """What SUPERB's tasks measured of an encoder so far from log-mel features to WavLM Large."""
    scale, tasks = superb_scale(), {}
    for task in scale.tasks:
        metrics = {}
        for metric, zero in scale.zero[task].items():
            whole = scale.reference[task][metric] - zero
            value, error = zero + share * whole, abs(whole) / 80
            draws = value + error / 1.96 * np.random.default_rng(round(1e6 * (1 + share))).normal(size=200)
            ends = {"low": value - error, "high": value + error, "draws": draws.tolist()}
            metrics[metric] = {"value": value, "heads": [value], "units": [1000], "scored": True} | ends
        tasks[task] = {"metrics": metrics, "notes": ""}
    return tasks
