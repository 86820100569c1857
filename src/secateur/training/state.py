"""The saved state of a training: what a run that was killed resumes from."""

import json
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json
from secateur.models.tensors import checksum, load_tensors, noted_checksum, read_tensors, save_tensors
from secateur.training.hooks import TrainingHook
from secateur.training.moving_average import MovingAverage

FOLDER = "resume"
"""Beside what the run is to become."""
FINISHED, NOTE = "finished.safetensors", "finished.json"
"""What a training ended with, and of what: kept beside the result, see `keep`."""
SIZE = 3
"""Of a saved state, in models: weights and AdamW's two moments of each."""


def keep(folder: Path, result: Path) -> None:
    """Delete the saved state of a training whose result is safe; the weights that it ended with stay.

    Snakemake deletes the result of a job that ended when nobody noted it, since Snakemake itself was killed, and runs
    the job again. That must not take hours again. The weights stay as a second name of `result`, which takes no room on
    the disk, and so only where that holds the weights as training left them.
    """
    note = folder / NOTE
    if not folder.is_dir():  # nothing was trained
        return
    if not note.is_file() or noted_checksum(result) != read_json(note)["sha256"]:
        shutil.rmtree(folder)
        return
    (folder / FINISHED).unlink(missing_ok=True)
    os.link(result, folder / FINISHED)
    for other in folder.iterdir():
        if other.name not in (FINISHED, NOTE):
            shutil.rmtree(other) if other.is_dir() else other.unlink()


class State:
    """The saved state of a run: one safetensors file, with the bookkeeping in its header, and the best checkpoints.

    All processes of a run read it, one of them writes.
    """

    def __init__(self, folder: Path, identity: str, writes: bool = True):
        self.folder, self.identity, self.writes = folder, identity, writes
        self.step, self.seconds, self.losses, self.count = 0, 0.0, 0.0, 0
        self.history: list[dict[str, Any]] = []
        self.best: list[tuple[float, int]] = []
        self.finished = False

    @property
    def file(self) -> Path:
        return self.folder / "state.safetensors"

    def save(self, model, optimizer, average: MovingAverage, hooks: Sequence[TrainingHook], seconds: float) -> None:
        if not self.writes:
            return
        tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
        for name, parameter in model.named_parameters():
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{key}.{name}"] = value
        tensors |= {f"average.{name}": value for name, value in average.tensors().items()}
        for index, hook in enumerate(hooks):
            tensors |= {f"hook.{index}.{name}": value for name, value in hook.tensors().items()}
        header = {
            "identity": self.identity,
            "step": self.step,
            "seconds": self.seconds + seconds,
            "losses": self.losses,
            "count": self.count,
            "history": self.history,
            "best": self.best,
        }
        save_tensors(self.file, tensors, {"state": json.dumps(header)})
        self._forget(step for _, step in self.best)

    def conclude(self, model: torch.nn.Module) -> None:
        """Note what the training ended with."""
        if self.writes:
            found = {"identity": self.identity, "history": self.history, "sha256": checksum(model.state_dict())}
            write_json(self.folder / NOTE, found)

    def _restore_finished(self, model: torch.nn.Module) -> bool:
        """Whether this training was finished before; then the model has the weights that it ended with."""
        try:
            note = read_json(self.folder / NOTE)
            tensors = load_tensors(self.folder / FINISHED)
        except SecateurError:
            return False
        if note["identity"] != self.identity or noted_checksum(self.folder / FINISHED) != note["sha256"]:
            return False
        model.load_state_dict(tensors, strict=True)
        self.history, self.step, self.finished = note["history"], note["history"][-1]["step"], True
        logging.info("%s: was finished before, and nobody had noted it", self.folder.parent)
        return True

    def restore(self, model, optimizer, average: MovingAverage, hooks: Sequence[TrainingHook]) -> None:
        if self._restore_finished(model) or not self.file.exists():
            return
        try:
            tensors, texts = read_tensors(self.file)
            header = json.loads(texts["state"])
            for _, step in header["best"]:
                load_tensors(self._best_file(step))
        except SecateurError as error:  # a machine lost its power, say
            logging.warning("%s; starting afresh", error)
            self._forget(())
            return
        if header["identity"] != self.identity:
            logging.info("%s: the saved state is of another configuration or code; starting afresh", self.folder)
            self._forget(())
            return
        self.step, self.seconds = header["step"], header["seconds"]
        self.losses, self.count = header["losses"], header["count"]
        self.history, self.best = header["history"], [(loss, step) for loss, step in header["best"]]
        groups: dict[str, dict[str, torch.Tensor]] = {"model": {}, "optimizer": {}, "average": {}, "hook": {}}
        for name, value in tensors.items():
            kind, _, rest = name.partition(".")
            groups[kind][rest] = value
        model.load_state_dict(groups["model"], strict=True)
        parameters = dict(model.named_parameters())
        for name, value in groups["optimizer"].items():
            key, _, parameter = name.partition(".")
            place = parameters[parameter]
            # AdamW's step counter lives on the CPU unless the fused GPU kernel wants it beside the weights.
            optimizer.state[place][key] = value.to(place.device)
        average.restore(groups["average"])
        for index, hook in enumerate(hooks):
            prefix = f"{index}."
            hook.restore(
                {name[len(prefix) :]: value for name, value in groups["hook"].items() if name.startswith(prefix)}
            )
        logging.info("%s: resumed at step %d", self.folder, self.step)

    def keep_best(self, model: torch.nn.Module, loss: float, keep: int) -> None:
        """Keep the checkpoint if its dev loss is among the `keep` best; an earlier step wins a tie."""
        if keep < 1:
            return
        best = sorted([*self.best, (loss, self.step)])[:keep]
        if (loss, self.step) in best and self.writes:
            save_tensors(self._best_file(self.step), model.state_dict())
        # Files that fell out go only after the next save: until then a restart still needs them.
        self.best = best

    def average_best(self, model: torch.nn.Module, keep: int) -> None:
        if keep < 1:
            return
        checkpoints = [load_tensors(self._best_file(step)) for _, step in sorted(self.best, key=lambda item: item[1])]
        mean = {}
        for name, value in checkpoints[-1].items():
            if value.is_floating_point():
                value = torch.stack([checkpoint[name].double() for checkpoint in checkpoints]).mean(0).to(value.dtype)
            mean[name] = value
        model.load_state_dict(mean, strict=True)

    def _best_file(self, step: int) -> Path:
        return self.folder / f"best-{step}.safetensors"

    def _forget(self, keep) -> None:
        kept = {self._best_file(step) for step in keep}
        for file in self.folder.glob("best-*.safetensors") if self.writes else ():
            if file not in kept:
                file.unlink()
