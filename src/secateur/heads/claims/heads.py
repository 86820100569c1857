"""S1's claims about heads and the language model, and ours about heads on top of layers."""

from secateur.reporting.claims import Claim

HERE = "secateur.heads.evidence"
FILES = "secateur.heads.reports.heads:evidence_files"
LMS = "an entry of `heads` with `lms`: a search with a neural language model, and one without"
CLAIMS = (
    Claim(
        "S1-lm-points",
        "S1",
        "Without the language model the error rate changes by less than 1 percentage point.",
        "less than 1 % (points or relative: the document does not say)",
        f"{HERE}:without_lm",
        FILES,
        LMS,
        {"unit": "points", "most": 1.0},
        10,
    ),
    Claim(
        "S1-lm-relative",
        "S1",
        "Without the language model the error rate changes by less than 1 % of itself.",
        "less than 1 % (points or relative: the document does not say)",
        f"{HERE}:without_lm",
        FILES,
        LMS,
        {"unit": "%", "most": 1.0},
        20,
    ),
    Claim(
        "S1-lm-latency",
        "S1",
        "Without the language model decoding takes half of the time.",
        "0.49 times (44.42 to 21.68 s an utterance)",
        f"{HERE}:time_without_lm",
        FILES,
        LMS,
        order=30,
    ),
    Claim(
        "S1-normalisation",
        "S1",
        "Normalising the importance of heads does not change the time.",
        "no change",
        f"{HERE}:normalisation",
        FILES,
        "an entry of `heads` with the importance `gradient` and a normalised one",
        order=40,
    ),
    Claim(
        "S1-locality",
        "S1",
        "Removing the heads of the lowest layers first saves more time, and costs more errors.",
        "faster, with more errors",
        f"{HERE}:locality",
        FILES,
        "an entry of `heads` with the policies `by-layer` and `global`",
        order=50,
    ),
    Claim(
        "heads-on-layers",
        "ours",
        "Removing heads on top of layers pays: it is faster, and no worse.",
        "",
        f"{HERE}:heads_on_layers",
        FILES,
        "an entry of `heads` with `combine`",
        order=10,
    ),
)
