"""Ours about speech that is harder than what models were pruned on."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.reporting.claims import Claim
from secateur.reporting.results import counted_of, files_of
from secateur.study.runs import decodings, model_runs


def files(config: Mapping[str, Any]) -> Iterator[str]:
    if config.get("conditions"):
        yield from counted_of(decodings(config))
        yield from files_of((run for run in model_runs(config) if run.mask_changes), "adaptations.tsv")


CLAIMS = (
    Claim(
        "harder-speech",
        "ours",
        "Pruning costs more errors under other conditions than on the speech that models were pruned on.",
        "",
        "secateur.overview.conditions:claimed",
        f"{__name__}:files",
        "`conditions`, an entry of `prune`, and both in `decode.splits`",
        order=120,
    ),
)
