"""S3's claims about adaptive masks and dynamic pathways, and ours about the bytes of one set of weights."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.reporting.claims import Claim
from secateur.reporting.results import SIZES_FILE, counted_of, files_of
from secateur.study.runs import decodings, model_runs

PAIRS, BEST = "secateur.pruning.evidence:pairs", "secateur.pruning.evidence:best"
FILES = f"{__name__}:files"


def files(config: Mapping[str, Any]) -> Iterator[str]:
    yield SIZES_FILE
    yield from counted_of(decodings(config))
    yield from files_of((run for run in model_runs(config) if run.mask_changes), "adaptations.tsv")


def _pair(name: str, order: int, statement: str, published: str, needs: str, **options: Any) -> Claim:
    return Claim(f"S3-{name}", "S3", statement, published, PAIRS, FILES, needs, {"kind": "better"} | options, order)


def _best(name: str, order: int, statement: str, published: str, needs: str, **options: Any) -> Claim:
    return Claim(f"S3-{name}", "S3", statement, published, BEST, FILES, needs, options, order)


EACH = {"languages": "each"}
LTH_STARTS = ("dynamic-lth-target", "dynamic-lth-s200")
LAP_STARTS = ("dynamic-lap-target", "dynamic-lap-s500", "dynamic-lap-s200")
CLAIMS = (
    _pair(
        "adaptive-lth",
        10,
        "Adaptive masks beat fixed ones for single languages, with LTH.",
        "−5.3 % of the errors (table 1: 14.28 to 13.53)",
        "`lth-adaptive` and `lth` in one entry of `prune`",
        a="lth-adaptive",
        b="lth",
        **EACH,
    ),
    _pair(
        "adaptive-imp",
        20,
        "Adaptive masks beat fixed ones for single languages, with IMP.",
        "−5.4 % of the errors (table 1: 14.57 to 13.79)",
        "`imp-adaptive` and `imp` in one entry of `prune`",
        a="imp-adaptive",
        b="imp",
        **EACH,
    ),
    _pair(
        "dynamic",
        30,
        "Dynamic pathways from LTH-50 beat fixed pathways from LTH-70, of two languages (two changes at once).",
        "−5.8 % of the errors (table 2: 13.48 to 12.70)",
        "pathways of two languages: `dynamic` from LTH at 50 %, and fixed ones from LTH at the last level",
        a="dynamic-lth-s500",
        b="pathways-lth-target",
        languages="two",
    ),
    _pair(
        "dynamic-same-start",
        40,
        "Dynamic pathways beat fixed ones from the same start, LTH-70, of two languages.",
        "−0.4 % of the errors (table 2: 13.48 to 13.43)",
        "pathways of two languages, `dynamic` and fixed, from LTH at the last level",
        a="dynamic-lth-target",
        b="pathways-lth-target",
        languages="two",
    ),
    _pair(
        "dynamic-many",
        50,
        "Dynamic pathways from LTH-50 beat fixed pathways from LTH-70, of more than two languages.",
        "−1.9 % of the errors, four languages (table 3: 14.39 to 14.11)",
        "pathways of more than two languages: `dynamic` from LTH at 50 %, and fixed ones from LTH at the last level",
        a="dynamic-lth-s500",
        b="pathways-lth-target",
        languages="many",
    ),
    _best(
        "start-50",
        60,
        "LTH-50 is the best start of dynamic pathways.",
        "−5.4 % against LTH-70, the next best (table 2: 12.70 and 13.43)",
        "`dynamic` pathways from LTH at 50 % and from another start",
        a="dynamic-lth-s500",
        others=(*LTH_STARTS, *LAP_STARTS),
        nearest="dynamic-lth-target",
        languages="any",
    ),
    _pair(
        "lth-imp",
        70,
        "LTH beats IMP.",
        "−2.0 % of the errors (table 1: 14.57 and 14.28)",
        "`lth` and `imp` in one entry of `prune`",
        a="lth",
        b="imp",
        **EACH,
    ),
    _best(
        "lap-worst",
        80,
        "LAP is the worst of the pruned models.",
        "+25 % of the errors against IMP, the next worst (table 1: 18.21 and 14.57)",
        "`lap` and another method in one entry of `prune`",
        a="lap",
        others=("imp", "lth", "imp-adaptive", "lth-adaptive", "pathways-imp-target", "pathways-lth-target"),
        nearest="imp",
        languages="each",
        sign=-1,
    ),
    _pair(
        "pathways-dense",
        90,
        "Pathways at 70 % are no worse than the dense model.",
        "−5.7 % of the errors (table 1: 14.58 to 13.75)",
        "pathways from LTH at the last level, decoded by a search of the dense model",
        a="pathways-lth-target",
        b="dense",
        kind="no worse",
        languages="any",
    ),
    _pair(
        "a-stage-less",
        100,
        "Adaptive LTH, which needs a stage less than pathways, is no worse.",
        "−1.6 % of the errors (table 1: 13.75 and 13.53)",
        "`lth-adaptive` and pathways from LTH at the last level",
        a="lth-adaptive",
        b="pathways-lth-target",
        kind="no worse",
        languages="any",
        stages=True,
    ),
    Claim(
        "one-for-all",
        "ours",
        "One set of weights serves all languages in a quarter of the bytes of a model for each, and is no worse.",
        "",
        "secateur.pruning.evidence:bytes_of_one",
        FILES,
        "pathways of four languages or more from LTH at the last level, and `lth`",
        {"a": "pathways-lth-target", "b": "lth", "least": 4},
        20,
    ),
)
