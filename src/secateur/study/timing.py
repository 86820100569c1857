"""Which systems are timed together, and where their times are. No heavy imports.

One job times a family: all that a study makes of one architecture on one corpus, as far as it computes differently. It
has the dense model with every search, its sub-models of fewer layers, those that were trained at a smaller depth, and
models without some of their heads. The others take over a time (`stand_ins`): masks, late regularisers and further
training leave the shape of the dense model as it is, and so does another seed.

Searches with a beam take seconds for an utterance. They are timed by themselves, on fewer utterances in fewer rounds.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from secateur.core.options import read
from secateur.decoding.options import TimingAmount, TimingOptions
from secateur.study.runs import DENSE, ModelRun, Timed, kind_of, kinds

SPLIT = "dev"
"""Where times are measured: the test sets are for error rates alone."""
PART_FILES = ("heads", "layers", "decoder_layers", "exits", "onnx")
"""The files that say which parts of a model are timed, as `Timed` and the command call them."""
DEPTHS = ("depths", "decoder_depths")
"""The numbers of layers that go with two of these, likewise."""
QUICK, BEAM = "quick", "beam"
"""The groups of searches that are timed together."""


@dataclass(frozen=True)
class Family:
    """All that is timed together.

    Attributes:
        corpus, model: names of entries of the configuration; the model that the others come from.
    """

    corpus: str
    model: str

    @property
    def folder(self) -> str:
        """Where the times are, relative to the study's results."""
        return f"timing/{self.corpus}/{self.model}"

    @property
    def file(self) -> str:
        """One row per system, and one for the reference where it is timed again."""
        return f"{self.folder}/timing.tsv"

    @property
    def utterances_file(self) -> str:
        """The seconds of every system, round and utterance."""
        return f"{self.folder}/utterances.tsv"


def families(config: Mapping[str, Any]) -> dict[Family, list[Timed]]:
    """What is timed, by family: each model and search once, the dense model that others are compared with first."""
    found: dict[Family, dict[tuple[str, str], Timed]] = {}
    for one in (timed for kind in (DENSE, *kinds()) for timed in kind.timed(config)):
        members = found.setdefault(family_of(config, one.run), {})
        key = one.run.folder, one.search
        members[key] = _both(members.get(key, one), one)
    return {family: _reference_first(family, members.values()) for family, members in found.items()}


def _both(one: Timed, other: Timed) -> Timed:
    found: dict[str, Any] = {name: getattr(one, name) or getattr(other, name) for name in PART_FILES}
    for name in DEPTHS:
        found[name] = tuple(dict.fromkeys((*getattr(one, name), *getattr(other, name))))
    return replace(one, **found)


def _reference_first(family: Family, members: Iterable[Timed]) -> list[Timed]:
    return sorted(members, key=lambda one: not (one.run.model == family.model and DENSE.owns(one.run.method)))


def family_of(config: Mapping[str, Any], run: ModelRun) -> Family:
    """The family that a model belongs to."""
    relatives: dict[tuple[str, str], str] = {}
    for kind in kinds():
        relatives |= kind.relatives(config)
    return Family(run.corpus, relatives.get((run.corpus, run.model), run.model))


def stand_ins(config: Mapping[str, Any], run: ModelRun) -> Iterator[ModelRun]:
    """The models whose time is that of a model, the nearest first: itself, another seed's, the dense one of its shape.

    Whether they were timed is another question.
    """
    first = replace(run, seed=config["seeds"][0])
    yield run
    yield first
    if kind_of(run.method).whole(run) == run:
        dense = dict.fromkeys(one.run for one in DENSE.timed(config))
        yield from (one for one in dense if (one.corpus, one.model) == (run.corpus, run.model))


def group_of(search: Mapping[str, Any]) -> str:
    """The group that an entry of the configuration's searches is timed in."""
    return BEAM if "beam" in search else QUICK


def amount(config: Mapping[str, Any], group: str) -> TimingAmount:
    """How much is timed in a group."""
    options = read(TimingOptions, {key: value for key, value in config["timing"].items() if key != "targets"}, "timing")
    return options.beam if group == BEAM else options


def files(config: Mapping[str, Any], runs: Iterable[ModelRun], utterances: bool = False) -> list[str]:
    """The files with the times of models; with those of every utterance, where tables compare these."""
    found = dict.fromkeys(family_of(config, run) for run in runs)
    return [file for one in found for file in (one.file, *((one.utterances_file,) if utterances else ()))]
