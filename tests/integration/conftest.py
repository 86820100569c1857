import re
import shutil
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
import torch
from user_world import LETTERS, LM, MODEL, World, call, never

from secateur.core.files import write_text
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.pruning.engines.mask import ONE_FOR_ALL, Mask, save_masks


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> World:
    """The world in which everything works, up to where models are trained."""
    world = World(tmp_path_factory.mktemp("a world"))
    generator = np.random.default_rng(0)
    for split in ("train", "dev", "test"):
        lines = {name: "" for name in ("wav.scp", "text", "utt2spk")}
        for number, text in enumerate(("hello there", "good day", "how are you")):
            audio = world.root / "audio files" / f"{split} {number}'s \".wav"
            audio.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(audio, generator.normal(0, 0.1, 24000), 16000)
            for name, value in (("wav.scp", audio), ("text", text), ("utt2spk", "s")):
                lines[name] += f"{split}-{number} {value}\n"
        for name, text in lines.items():
            write_text(world.root / "en" / split / name, text)
    assert call(*world.fetch()) == 0
    assert call(*world.prepare()) == 0
    write_text(world.path("tokens/tokens.txt"), "\n".join(LETTERS) + "\n")
    for split in ("train", "dev", "test"):
        data, features = world.path(f"data/en/{split}"), world.path(f"features/en/{split}")
        assert call("features", "--data", data, "--mel-bins", 20, "--output", features) == 0
    for name, config in (("model", MODEL), ("lm", LM)):
        torch.manual_seed(0)
        save_model(world.path(name), build_model(config, LETTERS), config, LETTERS)
    save_masks(world.path("model"), {ONE_FOR_ALL: Mask.random(build_model(MODEL, LETTERS), 0.5, 0)})
    return world


@pytest.fixture
def world(made, tmp_path, monkeypatch) -> World:
    """A copy, for one case. Archives name their folder, so the copy takes the place of the original in them."""
    copy = World(tmp_path / "world")
    shutil.copytree(made.folder, copy.folder)
    for path in [*copy.folder.rglob("*.scp"), *copy.folder.rglob("fetched.json")]:
        path.write_text(path.read_text().replace(str(made.folder), str(copy.folder)))
    monkeypatch.chdir(tmp_path)
    return copy


@pytest.fixture
def refused(world, monkeypatch, capfd) -> Callable[..., None]:
    """Does what a case says: its error must be all that is said, before anything is trained or decoded."""

    def check(change: Callable[[World], list[object]], message: str) -> None:
        monkeypatch.setattr(torch.optim.AdamW, "step", never)
        arguments = change(world)
        capfd.readouterr()
        status = call(*arguments)
        said = capfd.readouterr().err
        assert status == 1, said
        errors = said[said.index("error: ") :]
        assert said.count("error: ") == 1 and "Traceback" not in said and re.search(message, errors, re.DOTALL), said
        assert not world.path("decoded/hypotheses.tsv").exists()

    return check
