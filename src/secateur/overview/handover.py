"""A system of `systems.tsv` as files to use: its model or models in the format that the table's bytes are of."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json
from secateur.exits import study as exits
from secateur.exported import FILE, FOLDER
from secateur.exported import study as exported
from secateur.heads.removals import without
from secateur.heads.study import removals_file
from secateur.layers.export import export
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model, smaller
from secateur.models.surgery.heads import Head
from secateur.models.surgery.layers import Kept
from secateur.overview.candidates import EARLY, EXPORTED, SHALLOWER, SPARSE, STRUCTURED
from secateur.pruning.engines.mask import masks_of
from secateur.pruning.sparse import export_sparse
from secateur.study.runs import LEXICON, ModelRun, lexicon_folder, lm_folder


def hand_over(root: Path, row: Mapping[str, str], output: Path) -> None:
    """Write the models of a row into `output`, and the row itself as `system.json`.

    Monolingual models go into a folder for each language, the language model of the search into `lm`, and
    the words and the n-gram of a lexicon search into `lexicon`.

    Args:
        root: the study's folder.

    Raises SecateurError if a model is missing, or lies outside of the study.
    """
    folders = row["folder"].split()
    if not folders:
        raise SecateurError(f"{row['system']}: is no model of this study; take it from where the study takes it")
    languages = row["languages"].split()
    for place, folder in enumerate(folders):
        if not (root / folder).is_dir():
            raise SecateurError(f"{root / folder}: no such folder; run the study again")
        _hand_over_model(root, folder, row, output / languages[place] if len(folders) > 1 else output)
    lm = root / lm_folder(row["corpus"], row["lm"], int(row["seed"]))
    if row["kind"] not in (STRUCTURED, EXPORTED) and lm.is_dir():
        _copy(lm, output / "lm")
    lexicon = root / lexicon_folder(row["corpus"], row["search"])
    if lexicon.is_dir():
        shutil.copytree(lexicon, output / LEXICON, dirs_exist_ok=True)
    write_json(output / "system.json", dict(row))


def _hand_over_model(root: Path, folder: str, row: Mapping[str, str], output: Path) -> None:
    if not (part := row["sub_model"]):
        if row["format"] == SPARSE and masks_of(root / folder):
            export_sparse(root / folder, output)
        else:
            _copy(root / folder, output)
    elif row["kind"] == SHALLOWER:
        kept = Kept.named(part)
        export(root / folder, kept.layers, output, kept.of)
    elif row["kind"] == EXPORTED:  # token list and configuration beside it, and the language model if it has one
        _copy_exported(root / folder, row, output)
    elif row["kind"] == EARLY:  # all layers, and when to leave
        _copy(root / folder, output)
        shutil.copyfile(root / folder / f"exits/{row['search']}/{exits.FILE}", output / exits.FILE)
    else:
        run = ModelRun(row["corpus"], row["model"], row["scope"], int(row["seed"]), row["method"])
        removed = read_json(root / removals_file(run))["sets"][part]["removed"]
        loaded = load_model(root / folder)
        model = without(loaded.model, [Head(*head) for head in removed])
        save_model(output, model, smaller(loaded.config, model), loaded.tokens)


def _copy_exported(folder: Path, row: Mapping[str, str], output: Path) -> None:
    """`model.onnx`, `lm.onnx` if the search has a language model, and `model.json`."""
    written = (folder / exported.folder(row["search"])) / FILE
    found = read_json(written)["systems"][row["sub_model"]]
    output.mkdir(parents=True, exist_ok=True)
    for part in ("model", "lm"):
        if part in found:
            shutil.copyfile(written.parent / FOLDER / found[part], output / f"{part}.onnx")
    shutil.copyfile(folder / "model.json", output / "model.json")


def _copy(folder: Path, output: Path) -> None:
    """Copy the files of a checkpoint, with its masks."""
    output.mkdir(parents=True, exist_ok=True)
    for name in ("model.safetensors", "model.json", "config.json"):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, output / name)
    if (folder / "masks").is_dir():
        shutil.copytree(folder / "masks", output / "masks", dirs_exist_ok=True)
