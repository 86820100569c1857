"""S2's claims about sub-models, and S1's about regularisers that come late."""

from secateur.reporting.claims import Claim

HERE = "secateur.layers.evidence"
FILES = "secateur.layers.reports.layers:evidence_files"
CLAIMS = (
    Claim(
        "S2-as-trained-alone",
        "S2",
        "A sub-model is as good as a model trained alone at its depth.",
        "no worse, at all depths shown",
        f"{HERE}:as_trained_alone",
        FILES,
        "an entry of `layers` with `trained`, of a model with intermediate CTC or stochastic depth",
        order=10,
    ),
    Claim(
        "S2-regularisers",
        "S2",
        "Without the two regularisers it is worse than a model trained alone at its depth.",
        "worse, by more the fewer layers are left",
        f"{HERE}:without_regularisers",
        FILES,
        "an entry of `layers` of a model with neither regulariser, and models trained alone at its depths",
        order=20,
    ),
    Claim(
        "S2-rtf",
        "S2",
        "The real-time factor falls to a 2.5th at equal errors.",
        "0.40 times, on a GPU (0.005 to 0.002)",
        f"{HERE}:speed_at_equal_errors",
        FILES,
        "an entry of `layers` of a model with intermediate CTC or stochastic depth",
        order=30,
    ),
    Claim(
        "S2-svcca",
        "S2",
        "SVCCA finds layers that are safe to remove: fewer errors than with layers drawn at random.",
        "",
        f"{HERE}:svcca",
        FILES,
        "an entry of `layers` with the strategies `svcca` and `random`",
        order=40,
    ),
    Claim(
        "S1-interctc-jump",
        "S1",
        "Intermediate CTC brought into a trained model makes the loss jump, more than training on without it.",
        "the loss jumps (a figure)",
        f"{HERE}:jump",
        FILES,
        "an entry of `regularise` with a control and a variant with intermediate CTC",
        order=60,
    ),
)
