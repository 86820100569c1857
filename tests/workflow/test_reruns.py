"""What an edit of the code reruns: the jobs whose command is another one after it, by a dry run of the smoke study.

What follows from these jobs Snakemake knows; `tests/integration/test_smoke.py` has examples on a finished study.
"""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from clones import Clone

STUDY = "workflow/studies/smoke.yaml"
SURGERY = {  # all that reads checkpoints, which may lack heads; no training from nothing, no data, no scores, no tables
    *("decode", "decode_depths", "decode_heads", "sizes", "timing", "perplexity"),
    *("prune", "prune_adaptive", "prune_control", "regularise", "recover"),
    *("similarity", "layer_similarity", "layer_search", "export_depth"),
    *("head_importance", "head_removals", "head_times", "prune_heads", "tune_lms", "prune_lm"),
    *("compose_layers", "compose_heads", "compose_channels", "compose_mask", "compose_recover"),
    *("decode_exits", "decode_onnx", "stream_delays"),
}


def codes(clone: Clone) -> dict[tuple[str, str], str]:
    """The fingerprints in the command of every job of the study, by rule and first output."""
    command = [sys.executable, "-m", "snakemake", "-n", "-p", "--forceall", "--cores", "2", "--quiet", "host"]
    command += ["--configfile", STUDY]
    said = subprocess.run(command, cwd=clone.folder, env=clone.environment, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr
    found = {}
    for job in re.split(r"^\[.*\]\n(?:local)?rule ", said.stdout, flags=re.MULTILINE)[1:]:
        output = re.search(r"^ {4}output: ([^,\n]*)", job, re.MULTILINE)
        found[job.partition(":")[0], output[1] if output else ""] = " ".join(re.findall(r"--(?:code|keep) (\w+)", job))
    return found


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    return Clone.make(tmp_path_factory.mktemp("reruns"))


@pytest.fixture(scope="module")
def before(clone) -> dict[tuple[str, str], str]:
    found = codes(clone)
    assert sum(bool(code) for code in found.values()) > 100
    return found


@pytest.fixture
def rerun(clone, before):
    """Edit a file of the package, count the jobs whose code is another one, by rule, and take the edit back."""
    texts: dict[Path, str] = {}

    def edit(name: str, old: str = "", new: str = "") -> Counter[str]:
        """Replace a text; without one, add a line of code at the end."""
        path = clone.folder / "src/secateur" / name
        texts.setdefault(path, path.read_text())
        assert old in texts[path], f"{name} has no {old!r}"
        path.write_text(texts[path].replace(old, new, 1) if old else f"{texts[path]}\nADDED = 1\n")
        after = codes(clone)
        assert after.keys() == before.keys()
        return Counter(rule for (rule, output), code in after.items() if code != before[rule, output])

    yield edit
    for path, text in texts.items():
        path.write_text(text)


def test_head_surgery_reruns_what_reads_checkpoints_and_no_dense_training(rerun):
    found = rerun("models/surgery/heads.py")
    assert found.keys() == SURGERY, (found.keys() - SURGERY, SURGERY - found.keys())


def test_adaptive_masks_rerun_adaptive_methods_and_neither_fixed_ones_nor_dynamic_pathways(rerun):
    # Two levels of lth-adaptive in each of two languages.
    assert rerun("pruning/engines/adaptive.py") == {"prune_adaptive": 4}


def test_a_loss_reruns_the_models_that_have_it_and_what_runs_them(rerun):
    found = rerun("models/rnnt_loss.py")
    made = {"head_importance": 1, "compose_heads": 1, "stream_delays": 1}
    assert dict(found) == {"train": 1, "prune": 4, "prune_control": 2, "decode": 7, "sizes": 1, "timing": 1} | made


def test_a_caption_reruns_the_report_alone(rerun):
    assert rerun("heads/reports/heads.py", 'caption=(\n            "', 'caption=(\n            "Look: ') == {
        "report": 1
    }


def test_how_a_method_is_drawn_reruns_tables_figures_and_the_report(rerun):
    found = rerun("pruning/methods/imp.py", "colour=0", "colour=1")
    assert found == {"tables": 1, "figures": 1, "report": 1}


def test_comments_docstrings_and_layout_rerun_nothing(rerun):
    assert rerun("models/surgery/heads.py", "import torch\n", "import torch  # a comment\n\n") == {}
    assert rerun("training/loop.py", '"""One step', '"""Just one step') == {}
    assert rerun("pruning/engines/adaptive.py", "\nfrom ", "\n# A comment.\nfrom ") == {}


def test_what_a_study_runs_is_known_to_what_lists_it_alone(rerun):
    """No training, search or decoding depends on the code that enumerates them."""
    assert rerun("study/runs.py").keys() == {"sizes", "masks", "tables", "figures", "report"}
