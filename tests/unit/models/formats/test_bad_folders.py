"""Folders that cannot be used, of every format alike: one line each, which names the file; prefixes are left out."""

import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from trained_hugging_face import FIXTURES

from secateur.core.errors import SecateurError
from secateur.models import formats

ESPNET = Path(__file__).parents[3] / "reference" / "espnet" / "transformer-ctc"
SOURCES = {"espnet": ESPNET, "hubert": FIXTURES / "hubert", "whisper": FIXTURES / "whisper"}
HUGGING_FACE = ("hubert", "whisper")
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def copied(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(SOURCES[name], folder / name))


def weights_of(folder: Path) -> Path:
    return next(file for file in formats.describe(folder).files if file.suffix in (".safetensors", ".pth"))


def change(folder: Path, edit) -> None:
    """Write the weights anew."""
    file = weights_of(folder)
    if file.suffix == ".pth":
        torch.save(edit(torch.load(file, weights_only=True)), file)
    else:
        save_file({name: value.contiguous() for name, value in edit(load_file(file)).items()}, file)


def said(folder: Path) -> str:
    with pytest.raises(SecateurError) as found:
        formats.load(folder)
    assert "\n" not in str(found.value)
    return str(found.value)


@pytest.mark.parametrize("name", SOURCES)
def test_a_folder_without_its_configuration(name, tmp_path):
    folder = copied(name, tmp_path)
    for file in [*folder.rglob("config.json"), *folder.rglob("config.yaml"), *folder.rglob("meta.yaml")]:
        file.unlink()
    assert "not a folder of a model that can be read; models may name: " in said(folder)


@pytest.mark.parametrize("name", SOURCES)
def test_a_pointer_in_the_place_of_weights(name, tmp_path):
    folder = copied(name, tmp_path)
    weights_of(folder).write_text(POINTER)
    assert "a pointer of Git LFS" in said(folder)


@pytest.mark.parametrize("name", SOURCES)
def test_weights_that_are_no_numbers(name, tmp_path):
    folder, spoiled = copied(name, tmp_path), []

    def spoil(state):
        first = next(key for key, value in state.items() if value.is_floating_point() and "num_batches" not in key)
        spoiled.append(first)
        return {**state, first: torch.full_like(state[first], float("nan"))}

    change(folder, spoil)
    assert f"{spoiled[0]} holds NaN or infinity" in said(folder)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("name", SOURCES)
def test_prefixes_are_left_out_and_that_is_said(name, prefix, tmp_path, caplog):
    folder = copied(name, tmp_path)
    change(folder, lambda state: {prefix + key: value for key, value in state.items()})
    with caplog.at_level(logging.WARNING):
        found = formats.load(folder).model.state_dict()
    assert "which is left out" in caplog.text
    expected = formats.load(SOURCES[name]).model.state_dict()
    assert found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in found)


@pytest.mark.parametrize("name", HUGGING_FACE)
def test_pickled_objects_and_weights_in_several_files(name, tmp_path):
    folder = copied(name, tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text("{}")
    assert "its weights are in several files" in said(folder)
    (folder / "model.safetensors.index.json").unlink()
    torch.save({"config": SimpleNamespace()}, folder / "pytorch_model.bin")
    assert "holds pickled objects" in said(folder)


@pytest.mark.parametrize("hop", [80, 160])
def test_a_whisper_for_another_rate(hop, tmp_path):
    """Of the same window, half the samples in half the hop, and of another."""
    folder = copied("whisper", tmp_path)
    file = folder / "preprocessor_config.json"
    found = json.loads(file.read_text()) if file.is_file() else {}
    (folder / "processor_config.json").unlink(missing_ok=True)
    window = {"sampling_rate": 8000, "hop_length": hop, "chunk_length": found.get("chunk_length", 2)}
    file.write_text(json.dumps(found | window))
    with pytest.raises(SecateurError, match="a model for speech at 8000 Hz"):
        formats.describe(folder)
