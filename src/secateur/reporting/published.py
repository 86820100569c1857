"""Figures that the compared studies publish. Facts only; word error rates in percent."""

S3 = (
    "word error rates on the test sets of Multilingual LibriSpeech, of streaming RNN-T models: small dense ones of 56M "
    "parameters, all others of 187M; pruned ones at a sparsity of 70 %"
)
"""What the figures of S3's tables were measured on."""

S3_CORPUS = "mls"
"""The recipe of the corpus of S3's tables."""
S3_SPARSITY = 0.7
"""Sparsity of all pruned models in S3's tables."""
S3_PARAMETERS = {"reference": 56e6, "dense": 187e6}
"""Parameters of the small dense models of S3, and of all others."""

S3_TABLE1 = {
    "reference": {"en": 12.15, "fr": 16.00, "it": 27.62, "nl": 23.23, "avg": 19.75},
    "dense": {"en": 12.91, "fr": 10.90, "it": 16.94, "nl": 17.56, "avg": 14.58},
    "lap": {"en": 13.82, "fr": 11.98, "it": 27.71, "nl": 19.32, "avg": 18.21},
    "imp": {"en": 10.74, "fr": 11.26, "it": 17.90, "nl": 18.38, "avg": 14.57},
    "lth": {"en": 10.80, "fr": 10.38, "it": 18.44, "nl": 17.48, "avg": 14.28},
    "pathways-imp-s700": {"en": 11.15, "fr": 10.68, "it": 17.53, "nl": 16.90, "avg": 14.06},
    "pathways-lth-s700": {"en": 11.39, "fr": 10.20, "it": 17.58, "nl": 15.84, "avg": 13.75},
    "imp-adaptive": {"en": 10.07, "fr": 10.90, "it": 17.21, "nl": 16.98, "avg": 13.79},
    "lth-adaptive": {"en": 10.54, "fr": 9.91, "it": 17.06, "nl": 16.63, "avg": 13.53},
}
S3_TABLE2 = {
    "pathways-lth-s700": {"fr": 10.73, "nl": 16.23, "avg": 13.48},
    "pathways-lap-s700": {"fr": 11.98, "nl": 19.32, "avg": 15.65},
    "dynamic-lth-s700": {"fr": 11.31, "nl": 15.55, "avg": 13.43},
    "dynamic-lth-s500": {"fr": 10.48, "nl": 14.92, "avg": 12.70},
    "dynamic-lth-s200": {"fr": 10.99, "nl": 16.17, "avg": 13.58},
    "dynamic-lap-s700": {"fr": 10.98, "nl": 16.54, "avg": 13.76},
    "dynamic-lap-s500": {"fr": 10.82, "nl": 16.25, "avg": 13.54},
    "dynamic-lap-s200": {"fr": 10.88, "nl": 16.43, "avg": 13.65},
}
S3_TABLE3 = {
    "pathways-lth-s700": {"en": 13.56, "fr": 10.53, "it": 17.10, "nl": 16.37, "avg": 14.39},
    "dynamic-lth-s500": {"en": 14.84, "fr": 10.35, "it": 16.10, "nl": 15.15, "avg": 14.11},
}

S1 = (
    "the time with a neural language model in times of that without, and error rates that differ by less than 1 %, of "
    "a pretrained hybrid CTC/attention Transformer; set beside our largest language model"
)
"""What the figures of S1 were measured on."""

S1_SECONDS = {"lm": 44.42, "none": 21.68}

S4_NOTE = "Published: SUPERB's own tasks and data, encoders of WavLM base's size (94.70M) and pruned ones of 27M."
S4_SPEED_NOTE = "Published: WavLM base and what is left of it at 80 % sparsity, LibriSpeech dev-clean, one RTX 3090."
"""What the figures of S4 were measured on."""
S4_CORPUS = "librispeech"
"""The recipe of the corpus that the encoders of S4 are distilled and timed on."""
S4_SPARSITY = 0.8
_S4_METRICS = (
    *(("ks", "acc"), ("ic", "acc"), ("pr", "per"), ("asr", "wer"), ("er", "acc"), ("qbe", "mtwv"), ("sf", "f1")),
    *(("sf", "cer"), ("sid", "acc"), ("sv", "eer"), ("sd", "der"), ("score", "score")),
)
_S4_TASKS = _S4_METRICS[:-1]
_S4_ZERO = (41.38, 10.44, 82.01, 23.18, 48.24, 0.58, 69.64, 52.94, 20.06, 9.56, 10.05)
_S4_FULL = (97.86, 99.31, 3.06, 3.44, 70.62, 8.86, 92.21, 18.36, 95.49, 3.77, 3.24)
S4_FBANK = dict(zip(_S4_TASKS, _S4_ZERO, strict=True))
S4_WAVLM_LARGE = dict(zip(_S4_TASKS, _S4_FULL, strict=True))
"""Log-mel features (FBANK) and WavLM Large on SUPERB's public leaderboard: the 0 and the 1000 of its score."""
S4_UNSCORED = frozenset({("sf", "cer")})
"""What the score leaves out: with F1 alone for slot filling, seven of the eight scores of table 1 come out."""
S4_SCORE_NOTE = (
    "The document prints 721.79 as the score of w/o FAHP, and the figures that it prints for its tasks give 707.1; the "
    "other seven scores of its table 1 follow from its figures within 0.15."
)
S4_SUPERB = {
    name: dict(zip(_S4_METRICS, values, strict=True))
    for name, values in {
        "wav2vec": (95.59, 84.92, 31.58, 15.86, 59.79, 4.85, 76.37, 43.71, 56.56, 7.99, 9.90, 491.59),
        "w2v2 Base": (96.23, 92.35, 5.74, 6.43, 63.43, 2.33, 88.30, 24.77, 75.18, 6.02, 6.08, 735.00),
        "HuBERT Base": (96.30, 98.34, 5.41, 6.42, 64.92, 7.36, 88.53, 25.20, 81.42, 5.11, 5.88, 837.63),
        "WavLM Base": (96.79, 98.63, 4.84, 6.21, 65.94, 8.70, 89.38, 22.86, 84.51, 4.69, 4.55, 895.99),
        "DistilHuBERT": (95.98, 94.99, 16.27, 13.37, 63.02, 5.11, 82.57, 35.39, 73.54, 8.55, 6.19, 647.88),
        "DistilWavLM": (96.40, 96.39, 14.18, 13.24, 63.69, 7.07, 85.27, 31.80, 71.00, 8.87, 7.20, 668.39),
        "Proposed": (96.57, 98.08, 9.09, 10.61, 63.61, 7.40, 87.14, 27.13, 74.56, 6.17, 6.11, 769.62),
        "w/o FAHP": (96.14, 98.05, 10.51, 11.83, 63.78, 5.19, 85.57, 30.91, 70.03, 6.12, 7.18, 721.79),
    }.items()
}
S4_STE = {
    "Proposed": {("asr", "wer"): 10.29, ("ic", "acc"): 98.08, ("er", "acc"): 63.61, ("sid", "acc"): 74.56},
    "w/o STE": {("asr", "wer"): 10.61, ("ic", "acc"): 97.07, ("er", "acc"): 64.17, ("sid", "acc"): 74.65},
}
"""Table 3, which disagrees with table 1 about the word error rate of the proposed encoder (10.61 there)."""
S4_STE_NOTE = (
    "The document has two word error rates of its proposed encoder: 10.61 in its table 1, 10.29 in its table 3."
)
S4_SPEED = {
    name: dict(zip(("published_parameters", "published_speedup"), values, strict=True))
    for name, values in {"WavLM Base": (94.70, 1.00), "Proposed": (26.57, 1.99), "w/o STE": (26.37, 1.35)}.items()
}
