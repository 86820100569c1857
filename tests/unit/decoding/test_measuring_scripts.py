"""The scripts that measure all models of a study in one job: sizes and masks, on tiny models."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch
from tiny import CTC, LM, TOKENS, script

from secateur.core.files import read_json, write_json
from secateur.layers.export import export
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.pruning.engines.mask import Mask, mask_file, save_masks
from secateur.pruning.sparse import export_sparse
from secateur.speech.ngram import Ngram
from secateur.study.runs import ModelRun, model_runs

ENTRY = {"corpus": "talk", "model": "ctc", "variant": None, "schedule": "steps", "methods": ["imp", "lap"]}
STUDY = {
    "seeds": [1],
    "corpora": {"talk": {"languages": ["en", "fr", "it"]}},
    "pruning": {"steps": {"levels": [0.5, 0.7], "training": "short", "steps_per": "all"}},
    "dense": [],
    "layers": [],
    "regularise": [],
    "heads": [],
    "ssl": [],
    "prune": [
        ENTRY
        | {
            "pathways": [
                {"languages": ["en", "fr", "it"], "method": "dynamic", "start": [["lap", 0.5]]},
                {"languages": ["fr", "it"], "method": "dynamic", "start": [["lap", 0.5]]},
            ]
        }
    ],
}


def run(name: str, root: Path, **options) -> dict:
    script(name).run(Namespace(study=STUDY, root=root, output=root / f"{name}.json", **options), {})
    return read_json(root / f"{name}.json")


def mask(*kept: int) -> Mask:
    """Ten weights in two matrices of four and six, of which some stay."""
    bits = torch.zeros(10, dtype=torch.bool)
    bits[list(kept)] = True
    return Mask.of({"first": bits[:4].view(2, 2), "second": bits[4:].view(2, 3)})


def test_masks_are_compared_with_those_of_their_own_models(tmp_path):
    """The masks of pathways of two languages are not mixed up with those of three by the same method."""
    masks = {
        ("en", "imp", 0.5): {"all": mask(0, 1, 2, 3, 4)},
        ("en", "imp", 0.7): {"all": mask(0, 1, 2)},
        ("fr", "imp", 0.5): {"all": mask(0, 1, 5, 6, 7)},
        ("fr", "imp", 0.7): {"all": mask(1, 2, 5)},
        ("it", "imp", 0.5): {"all": mask(5, 6, 7, 8, 9)},
        ("it", "imp", 0.7): {"all": mask(7, 8, 9)},
        ("all", "lap", 0.5): {"all": mask(0, 1, 2, 3, 4)},
        ("all", "lap", 0.7): {"all": mask(0, 1, 2)},
        ("all", "dynamic-lap-s500", 0.7): {"en": mask(0, 1, 2), "fr": mask(1, 2, 3), "it": mask(2, 3, 4)},
        ("fr-it", "dynamic-lap-s500", 0.7): {"fr": mask(0, 1, 2), "it": mask(7, 8, 9)},
    }
    for run_ in model_runs(STUDY):
        write_json(tmp_path / run_.folder / "model.json", {})
        save_masks(tmp_path / run_.folder, masks[run_.scope, run_.method, run_.sparsity])
    found = run("masks", tmp_path)
    overlaps = {
        (row["scope"], row["method"], row["language_a"], row["language_b"], row["level"], row["level_b"]): row["iou"]
        for row in found["overlaps"]
    }
    assert len(overlaps) == len(found["overlaps"])
    assert overlaps == {
        ("each", "imp", "en", "en", 0.5, 0.7): 3 / 5,
        ("each", "imp", "fr", "fr", 0.5, 0.7): 2 / 6,
        ("each", "imp", "it", "it", 0.5, 0.7): 3 / 5,
        ("each", "imp", "en", "fr", 0.5, 0.5): 2 / 8,
        ("each", "imp", "en", "it", 0.5, 0.5): 0.0,
        ("each", "imp", "fr", "it", 0.5, 0.5): 3 / 7,
        ("each", "imp", "en", "fr", 0.7, 0.7): 2 / 4,
        ("each", "imp", "en", "it", 0.7, 0.7): 0.0,
        ("each", "imp", "fr", "it", 0.7, 0.7): 0.0,
        ("all", "lap", "all", "all", 0.5, 0.7): 3 / 5,
        ("all", "dynamic-lap-s500", "en", "fr", 0.7, 0.7): 2 / 4,
        ("all", "dynamic-lap-s500", "en", "it", 0.7, 0.7): 1 / 5,
        ("all", "dynamic-lap-s500", "fr", "it", 0.7, 0.7): 2 / 4,
        ("fr-it", "dynamic-lap-s500", "fr", "it", 0.7, 0.7): 0.0,
    }
    english = [row for row in found["matrices"] if (row["method"], row["language"]) == ("imp", "en")]
    assert [(row["level"], row["matrix"], row["weights"], row["sparsity"]) for row in english] == [
        (0.5, "first", 4, 0.0),
        (0.5, "second", 6, pytest.approx(5 / 6)),
        (0.7, "first", 4, 0.25),
        (0.7, "second", 6, 1.0),
    ]


def test_sizes_are_those_of_files(tmp_path):
    """Of checkpoints, of sparse files of models with masks, of sub-models as they are exported, of language models."""
    model = build_model(CTC, TOKENS)
    for run_ in model_runs(STUDY):
        save_model(tmp_path / run_.folder, model, CTC, TOKENS)
    pathways = ModelRun("talk", "ctc", "fr-it", 1, "dynamic-lap-s500", 0.7).folder
    masks = {"fr": Mask.random(model, 0.7, 1), "it": Mask.random(model, 0.7, 2)}
    save_masks(tmp_path / pathways, masks)
    whole = ModelRun("talk", "ctc", "en", 1, "imp", 0.5).folder
    write_json(tmp_path / "order.json", {"depths": {"2": {"layers": [1, 3]}, "1": {"layers": [3]}}})
    save_model(tmp_path / "lm", build_model(LM, TOKENS), LM, TOKENS)
    sizes = run("sizes", tmp_path, layers={whole: ["order.json"]}, lms=["lm"], lexicons={})
    found = sizes[pathways]
    assert found["sparsity"] == pytest.approx(0.7, abs=1e-3)
    files = [mask_file(tmp_path / pathways, name) for name in masks]
    assert found["mask_bytes"] == sum(file.stat().st_size for file in files)
    assert found["bytes"] == (tmp_path / pathways / "model.safetensors").stat().st_size
    assert found["algorithmic_latency"] is None
    exported = export_sparse(tmp_path / pathways, tmp_path / "sparse")
    assert found["sparse_bytes"] == exported.stat().st_size
    assert found["sparse_bytes_each"] == {
        name: export_sparse(tmp_path / pathways, tmp_path / name, name).stat().st_size for name in masks
    }
    assert sizes[whole].keys().isdisjoint({"mask_bytes", "sparse_bytes"})
    parts = sizes[whole]["sub_models"]
    assert parts.keys() == {"1,3", "3"}
    for name, part in parts.items():
        alone = export(tmp_path / whole, map(int, name.split(",")), tmp_path / f"layers {name}").model
        assert part["bytes"] == (tmp_path / f"layers {name}/model.safetensors").stat().st_size
        assert part["parameters"] == sum(parameter.numel() for parameter in alone.parameters())
    assert parts["3"]["macs_per_second"] < parts["1,3"]["macs_per_second"] < sizes[whole]["macs_per_second"]
    assert sizes["lm"]["bytes"] == (tmp_path / "lm/model.safetensors").stat().st_size


def test_what_a_search_makes_of_the_training_text_is_written_and_measured(tmp_path, monkeypatch):
    monkeypatch.setattr("secateur.scripts.sizes.model_runs", lambda study: [])
    (tmp_path / "tokens.txt").write_text("\n".join(TOKENS) + "\n")
    for code, text in (("en", "u1 a b a\nu2 b\n"), ("fr", "v1 a\n")):
        (tmp_path / code).write_text(text)
    made = {"search": {"type": "lexicon", "order": 2}, "texts": [str(tmp_path / code) for code in ("en", "fr")]}
    made["tokens"] = str(tmp_path / "tokens.txt")
    found = run("sizes", tmp_path, layers={}, lms=[], lexicons={"lexicons/talk/words": made})["lexicons/talk/words"]
    folder = tmp_path / "lexicons/talk/words"
    assert {file.name for file in folder.iterdir()} == {"lexicon.txt", "ngram.arpa"}
    assert found["bytes"] == sum(file.stat().st_size for file in folder.iterdir())
    assert (folder / "lexicon.txt").read_text() == "a\ta\nb\tb\n"
    expected = Ngram.estimate(["a b a", "b", "a"], 2)
    assert Ngram.read(folder / "ngram.arpa").probabilities == pytest.approx(expected.probabilities)
    # a, b, </s> and <unk>; <s> a, <s> b, a b, a </s>, b a, b </s>; and a weight for what follows <s>, a and b.
    assert found["parameters"] == found["nonzero"] == 4 + 6 + 3
