"""The examples of docs/library.md run, in order, and leave what the page says."""

import re
from pathlib import Path

import pytest
import tiny
import torch

from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model
from secateur.pruning.engines.mask import Mask, masks_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "library.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def left(tmp_path_factory) -> tuple[Path, dict]:
    """The folder in which all examples ran, and their names."""
    folder, names = tmp_path_factory.mktemp("library"), {}
    torch.manual_seed(1)
    save_model(folder / "model", build_model(tiny.CTC, tiny.TOKENS), tiny.CTC, tiny.TOKENS)
    tiny.write_features(folder / "features", {"en-dev-0": 40})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for example in EXAMPLES:
            exec(compile(example, str(PAGE), "exec"), names)
    return folder, names


def test_every_section_has_an_example():
    assert len(EXAMPLES) == len(re.findall("^## ", PAGE.read_text(encoding="utf-8"), re.MULTILINE))


def test_the_utterance_is_decoded(left):
    _, names = left
    assert set(names["result"].hypothesis) <= set("abc <unk>")
    assert names["result"].encoder_s > 0


def test_the_pruned_model_has_the_mask_that_it_lists(left):
    folder, _ = left
    mask = Mask.load(masks_of(folder / "pruned")["all"])
    mask.check(load_model(folder / "pruned").model)
    assert mask.kept == round(mask.total / 4)


def test_the_search_removes_first_the_layer_without_which_the_loss_is_least(left):
    _, names = left
    found, first = names["found"], names["found"]["rounds"][0]
    assert len(found["order_removed"]) == 2 and list(found["depths"]) == ["3", "2", "1"]
    assert first["removed"] == found["order_removed"][0] == int(min(first["without"], key=first["without"].get))
    assert found["depths"]["2"]["dev_loss"] == pytest.approx(min(first["without"].values()))


def test_the_smaller_model_has_fewer_parameters(left):
    folder, _ = left
    sizes = [sum(p.numel() for p in load_model(folder / name).model.parameters()) for name in ("model", "smaller")]
    assert sizes[1] < sizes[0]


def test_the_systems_have_the_rates_counted_by_hand(left):
    _, names = left
    assert names["rate"].value == pytest.approx(100 / 9)
    assert names["compared"].value == pytest.approx(-200 / 9)


def test_the_adapted_mask_is_obeyed(left):
    _, names = left
    adaptive = names["adaptive"]
    assert [row[0] for row in adaptive.log] == [2, 4] and adaptive.mask.kept == 32
    assert int((names["layer"]["encoder"].weight != 0).sum()) == 32
