"""Options of a student that gates prune (`secateur.ssl.students`), but for where gates start and what is to go."""

GATED = {
    "type": "gates",
    "kinds": ["mha", "ffn", "qk", "vo", "int"],
    "straight_through": True,
    "target": "parameters",
    "gate_rate": 100.0,
    "lambda_rate": 20.0,
    "lambdas": [0.0, 30.0],
    "conv_sparsity": 0.0,
    "distil": [1, 2],
    "ordered": True,
    "train_extractor": False,
}
