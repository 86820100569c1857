"""S4's claims about structured pruning of self-supervised encoders."""

from secateur.reporting.claims import Claim

HERE = "secateur.ssl.evidence"
FILES = "secateur.ssl.reports.encoders:evidence_files"
PROPOSED = "a student with the gates mha, ffn, qk, vo and int, and straight-through gradients"
CLAIMS = (
    Claim(
        "S4-comparable",
        "S4",
        "With 72 % fewer parameters the score is comparable: above wav2vec 2.0 Base's on SUPERB's scale.",
        "769.62 of WavLM Base's 895.99, wav2vec 2.0 Base 735.00 (table 1)",
        f"{HERE}:comparable",
        FILES,
        f"{PROPOSED}, scored in SUPERB's ten tasks on its own data",
        order=10,
    ),
    Claim(
        "S4-fahp",
        "S4",
        "Pruning the dimensions of heads (FAHP) beats pruning whole heads.",
        "+47.83 points of SUPERB's score, +6.6 % (table 1: 721.79 to 769.62; the figures of its tasks give 707.1)",
        f"{HERE}:against",
        FILES,
        f"{PROPOSED}, and one with whole heads",
        {"rival": "fahp"},
        20,
    ),
    Claim(
        "S4-ste-speed",
        "S4",
        "Straight-through gradients (STE) make it faster at equal size.",
        "−32 % of the time (table 2: 67.78 to 46.08 s)",
        f"{HERE}:ste_speed",
        FILES,
        f"{PROPOSED}, and one without them",
        order=30,
    ),
    Claim(
        "S4-ste-accuracy",
        "S4",
        "Straight-through gradients (STE) do not cost accuracy.",
        "better in three of four tasks (table 3)",
        f"{HERE}:against",
        FILES,
        f"{PROPOSED}, and one without them",
        {"rival": "ste", "no worse": True},
        40,
    ),
    Claim(
        "S4-distillation",
        "S4",
        "It is better than distillation at equal size.",
        "+101.23 points of SUPERB's score, +15 % (table 1: DistilWavLM's 668.39 to 769.62)",
        f"{HERE}:against",
        FILES,
        f"{PROPOSED}, and a student of the teacher's first layers",
        {"rival": "layers"},
        50,
    ),
    Claim(
        "S4-top-layers",
        "S4",
        "What remains is in the top layers.",
        "most parameters are left in the upper layers (figure 3b)",
        f"{HERE}:top_layers",
        FILES,
        PROPOSED,
        order=60,
    ),
)
