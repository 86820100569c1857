"""Give a pruned model back: as a folder that the library loads which the model came from, where that has such a form.

Masks are in the weights, and layers that are gone are gone. A model without some heads or units of its layers has no
such form: it is written as a checkpoint of this project, with a script of three lines that loads it. An encoder that
the section `ssl` pruned is put back into the model that it came from. What was written is read again and compared.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.core.files import write_text
from secateur.models import formats
from secateur.models.checkpoint import save_model
from secateur.models.load import Loaded, has_library_form
from secateur.models.surgery.heads import made_up_batch
from secateur.pruning.masked import load_masked
from secateur.ssl.checkpoints import load_encoder

LOADER = """# Loads the model in this folder; needs the package secateur.
from pathlib import Path
from secateur.models.load import load_model
model = load_model(Path(__file__).parent).model
"""
ENCODER = "config.json"
"""What a checkpoint of an encoder has, and one of a model has not."""
TOLERANCE = 1e-5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", type=Path, required=True, help="folder of the model, or encoder, in a study's results"
    )
    parser.add_argument("--source", type=Path, required=True, help="folder that the study named as `pretrained`")
    parser.add_argument("--language", help="whose mask, of a model with one for each language")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    if arguments.output.exists() and any(arguments.output.iterdir()):
        raise SecateurError(f"--output: {arguments.output} is there and not empty; name a new folder")
    loaded = pruned(arguments)
    write = formats.exporter(arguments.source)
    if write is None or not has_library_form(loaded):
        save_model(arguments.output, loaded.model, loaded.config, loaded.tokens)
        if pieces := formats.describe(arguments.source).pieces:
            shutil.copyfile(pieces, arguments.output / pieces.name)
        write_text(arguments.output / "load.py", LOADER)
        why = "its format has no writer" if write is None else "the library has no layers without some of their parts"
        print(f"{arguments.output}: a checkpoint of this project, as {why}; load.py loads it")
    else:
        write(loaded, arguments.source, arguments.output)
        print(f"{arguments.output}: as {arguments.source}")
    record["difference"] = compare(loaded, formats.load(arguments.output))


def pruned(arguments: argparse.Namespace) -> Loaded:
    """The model with its mask, if it has one; of an encoder, the model in `--source` with this encoder."""
    if (arguments.model / ENCODER).is_file():
        return formats.joiner(arguments.source)(load_encoder(arguments.model), arguments.source)
    return load_masked(arguments.model, arguments.language)


def compare(ours: Loaded, written: Loaded) -> float:
    """The largest difference of encoder outputs, as a share of the largest value. Raises SecateurError above
    `TOLERANCE`."""
    batch = made_up_batch(ours.model)
    with torch.no_grad():
        one, other = (
            model.encode(batch["speech"], batch["speech_lengths"])[0] for model in (ours.model, written.model)
        )
    one, other = (found[0] if isinstance(found, tuple) else found for found in (one, other))
    difference = float((one - other).abs().max() / one.abs().max())
    if not difference <= TOLERANCE:
        raise SecateurError(f"the exported model is off by {difference:.1e} of the largest value; please report this")
    return difference
