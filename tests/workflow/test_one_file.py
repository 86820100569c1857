"""A new method of pruning is one file: what it takes part in when the file is there, in a copy of the tree."""

import json
import re
import subprocess
import sys

import pytest
import yaml
from clones import Clone

FILE = "src/secateur/pruning/methods/toy_method.py"
TOY = '''"""The smallest weights stay, within what stayed before."""

from secateur.pruning.engines.given import Given
from secateur.pruning.methods import Method, Shown


def hook(given: Given):
    """A fixed mask of the smallest weights, stretched."""
    from secateur.pruning.engines.fixed import FixedMask
    from secateur.pruning.engines.ranking import magnitude_mask

    inverse = {name: 1 / (given.options["stretch"] + weight.abs()) for name, weight in given.weights.items()}
    return FixedMask(magnitude_mask(inverse, given.sparsity, given.ranking, given.within))


OPTIONS = {"stretch": {"type": "number", "exclusiveMinimum": 0, "default": 2.5, "description": "Added to magnitudes."}}
METHOD = Method(hook, nested=True, options=OPTIONS)
SHOWN = Shown("TOY", order=35, colour=3, marker="v", line=":", row="Toy", stage="2")
'''
CHECK = """
import sys
sys.path.insert(0, "tests")
from pathlib import Path
import json, torch, tiny
from secateur.core.errors import SecateurError
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model
from secateur.pruning import looks, methods
from secateur.pruning.engines.mask import Mask, masks_of, prunable, weights
from secateur.pruning.multilingual import TABLE1

folder = Path(sys.argv[1])
tiny.write_corpus(folder)
model = build_model(tiny.PLAIN, tiny.TOKENS)
save_model(folder / "start", model, tiny.PLAIN, tiny.TOKENS)
tiny.run_script(
    "prune", "--method", "toy-method", "--stretch", 1.5, "--sparsity", 0.75, "--start", folder / "start",
    "--data", folder / "data", "--features", folder / "features", "--tokens", folder / "tokens.txt", "--languages",
    "en", "--training", json.dumps(tiny.TRAINING), "--device", "cpu", "--output", folder / "toy",
)
mask = Mask.load(masks_of(folder / "toy")["all"])
flat = torch.cat([weight.abs().flatten() for weight in weights(model, prunable(model)).values()])
row = {"method": "pathways-toy-method-s500", "scope": "all"}
colour, marker, line = looks.style({"method": "toy-method"})
print(json.dumps({
    "kept": mask.kept, "total": mask.total, "largest kept": flat[mask.flat].max().item(),
    "smallest removed": flat[~mask.flat].min().item(), "rows": [line.model for line in TABLE1],
    "labels": [looks.name(row), looks.name({"method": "toy-method+steep", "scope": "en"})],
    "style": [marker, line], "grey": colour == looks.GREY, "known": list(methods.registry()),
}))
"""
STUDY = {
    "pruning": {"progressive": {"stretch": 0.5}},
    "prune": [
        {
            "model": "ctc",
            "schedule": "progressive",
            "methods": ["toy-method"],
            "pathways": [{"start": [["toy-method", 0.7]]}],
        }
    ],
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    """A copy of the tree with the toy, and the smoke study with nothing but that pruned."""
    clone = Clone.make(tmp_path_factory.mktemp("one-file"))
    clone.commit()
    (clone.folder / FILE).write_text(TOY)
    study = yaml.safe_load((clone.folder / "workflow/studies/smoke.yaml").read_text())
    study["pruning"]["progressive"] |= STUDY["pruning"]["progressive"]
    (clone.folder / "toy.yaml").write_text(yaml.safe_dump(study | {"prune": STUDY["prune"]}))
    return clone


def run(clone: Clone, *words: str, check: bool = True) -> str:
    """What a command says in the clone, or, if it is to fail, what it complains about."""
    answer = subprocess.run(
        [sys.executable, *words], cwd=clone.folder, env=clone.environment, capture_output=True, text=True
    )
    assert (answer.returncode == 0) == check, answer.stdout + answer.stderr
    return answer.stdout if check else answer.stderr


def test_it_trains_and_has_its_row_its_label_and_its_style(clone, tmp_path):
    found = json.loads(run(clone, "-c", CHECK, str(tmp_path)).splitlines()[-1])
    assert found["kept"] * 4 == found["total"] and found["largest kept"] <= found["smallest removed"]
    unpublished = ["Toy", "RigL", "movement pruning", "Wanda", "SparseGPT"]
    assert found["rows"][-5:] == unpublished and found["rows"].count("IMP") == 1
    assert found["labels"] == ["pathways TOY-50\N{NO-BREAK SPACE}%", "TOY (steep)"]
    assert (found["style"], found["grey"]) == (["v", ":"], False)
    assert found["known"][2:5] == ["lap", "toy-method", "imp-adaptive"]


def test_the_schema_accepts_it_and_the_plan_counts_its_jobs(clone):
    said = run(clone, "workflow/plan.py", "--study", "toy.yaml")
    jobs = {kind: int(count) for kind, count in re.findall(r"^  espeak +ctc +(\S+) +(\d+) ", said, re.MULTILINE)}
    # Two languages, at two levels; before them the model that they begin with; pathways over their last masks.
    assert (jobs["toy-method"], jobs["finetune"], jobs["pathways"]) == (4, 2, 1)
    rules = {rule: int(count) for rule, count in re.findall(r"\b(prune(?:_adaptive|_control)?) (\d+)", said)}
    assert rules == {"prune": 5, "prune_control": 2}


def test_nothing_else_had_to_change(clone):
    """But for the studies of this test."""
    assert clone.git("status", "--porcelain", "--untracked-files=all", "--", ":!*.yaml") == f"?? {FILE}\n"


def test_errors_list_it_among_the_known_ones(clone):
    study = (clone.folder / "toy.yaml").read_text()
    (clone.folder / "wrong.yaml").write_text(study.replace("- toy-method\n", "- toy-methd\n", 1))
    said = run(clone, "workflow/plan.py", "--study", "wrong.yaml", check=False)
    assert "prune[0].methods[0]: 'toy-methd' (did you mean 'toy-method'?); allowed: imp, lth, lap, toy-method, " in said
