"""The files of the times of families, written without timing anything."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from secateur.core.files import read_json, write_tsv
from secateur.decoding.timing import AGAIN, PARTS, Measurement, relative_time
from secateur.layers.rtf import depth_name
from secateur.scripts.timing import AXES, COLUMNS, UTTERANCE_COLUMNS, named, summary
from secateur.study.runs import ModelRun, Timed
from secateur.study.timing import Family, families, group_of

Seconds = Callable[[ModelRun, str, str], Sequence[tuple[float, float, float]] | None]
"""By model, search and sub-model, the seconds of each of PARTS of every utterance; None if it is not timed."""


def write_times(
    root: Path,
    config: Mapping[str, Any],
    seconds: Seconds,
    durations: Sequence[float],
    doubt: str = "",
    depths: Mapping[str, int] | None = None,
) -> None:
    """Write the times of all families of a study, in two equal rounds.

    Args:
        durations: seconds of audio of the utterances.
        doubt: why not to rely on them.
        depths: encoder layers by name of the model, where they matter.
    """
    for family, members in families(config).items():
        _write(root, config, family, members, seconds, durations, doubt, depths or {})


def _write(root, config, family: Family, members: Sequence[Timed], seconds, durations, doubt, depths) -> None:
    found: dict[str, dict[Any, list[dict[str, Any]]]] = {}
    for one in members:
        group = found.setdefault(group_of(config["searches"][one.search]), {})
        for part in _parts(root, one):
            times = seconds(one.run, one.search, part)
            if times is not None:
                group[one.run.folder, one.search, part] = [
                    {
                        "round": number,
                        "utterance": f"u{place}",
                        "duration_s": duration,
                        **dict(zip(PARTS, values, strict=True)),
                    }
                    for number in (1, 2)
                    for place, (values, duration) in enumerate(zip(times, durations, strict=True))
                ]
    rows, utterances = [], []
    models = {one.run.folder: one.run.model for one in members}
    for group, systems in found.items():
        reference = next(iter(systems))
        systems[AGAIN] = systems[reference]
        measured = Measurement(systems, relative_time(systems[AGAIN], systems[reference]), 0.0, 1)
        conditions = {"rounds": 2, "utterances": len(durations), "threads": 1, **measured.conditions, "doubt": doubt}
        for name, times in named(measured, reference):
            axes = dict(zip(AXES, ("cpu", group, *name), strict=True))
            depth = name[2].removeprefix(depth_name("")) if name[2].startswith(depth_name("")) else None
            about = axes | conditions | {"depth": depth or depths.get(models[name[0]], 2)}
            rows.append(about | summary(measured, reference, name, times))
            utterances += [axes | row for row in times]
    write_tsv(root / family.file, COLUMNS, rows)
    write_tsv(root / family.utterances_file, UTTERANCE_COLUMNS, utterances)


def _parts(root: Path, one: Timed) -> list[str]:
    sets = list(read_json(root / one.heads)["sets"]) if one.heads else []
    points = list(read_json(root / one.exits)["points"]) if one.exits else []
    formats = list(read_json(root / one.onnx)["systems"]) if one.onnx else []
    of_decoder = (depth_name(depth, "decoder") for depth in one.decoder_depths)
    return ["", *sets, *points, *formats, *map(depth_name, one.depths), *of_decoder]
