"""Layers of a model that go one at a time with training between, by the commands of a chain of `compose`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiny import run_script

from secateur.core.files import read_json, read_tsv


@dataclass(frozen=True)
class Removal:
    """One layer that went.

    Attributes:
        found: what the search for it found.
        before, after: the dev loss without the layer, and once the model was trained on.
        model: folder of the model that was trained on.
    """

    found: Mapping[str, Any]
    before: float
    after: float
    model: Path

    @property
    def depth(self) -> int:
        """The layers that there were."""
        return max(map(int, self.found["depths"]))

    def kept(self, depth: int) -> list[int]:
        """The numbers of the layers that the search kept at a depth."""
        return self.found["depths"][str(depth)]["layers"]

    def loss(self, depth: int) -> float:
        """The dev loss that the search saw there."""
        return self.found["depths"][str(depth)]["dev_loss"]


def remove_layers(
    corpus: Path,
    model: Path,
    languages: Sequence[str],
    training: Mapping[str, Any],
    output: Path,
    of: str = "encoder",
    count: int = 2,
) -> list[Removal]:
    """Remove `count` layers, each the one that greedy chooses first of what the model has become.

    Args:
        corpus: folder with `data`, `features` and `tokens.txt`.
        training: an entry of `training`.
        output: folder for what is made.
    """
    removals: list[Removal] = []
    for _ in range(count):
        file = output / f"{model.name}.json"
        dev = {part: [corpus / part / language / "dev" for language in languages] for part in ("data", "features")}
        run_script(
            *("layer_search", "--of", of, "--model", model, "--tokens", corpus / "tokens.txt", "--device", "cpu"),
            *("--data", *dev["data"], "--features", *dev["features"], "--output", file),
        )
        found = read_json(file)
        depth = max(map(int, found["depths"])) - 1
        shallow, trained = output / f"kept-{depth}", output / f"recovered-{depth}"
        run_script("export_depth", "--model", model, "--layers", file, "--depth", depth, "--output", shallow)
        record = run_script(
            *("finetune", "--start", shallow, "--training", json.dumps(training), "--speeds", 1.0, "--seed", 1),
            *("--data", corpus / "data", "--features", corpus / "features", "--tokens", corpus / "tokens.txt"),
            *("--languages", *languages, "--device", "cpu", "--output", trained),
        )
        after = float(read_tsv(trained / "history.tsv")[-1]["dev_loss"])
        removals.append(Removal(found, record["initial_loss"], after, trained))
        model = trained
    return removals
