# What all rules share: the checked configuration, wildcard constraints, paths, and command lines as parameters.
import json
import shlex

from snakemake.exceptions import WorkflowError

from secateur import config as configuration
from secateur import corpora, study
from secateur.errors import SecateurError
from secateur.provenance import fingerprint

try:
    config = configuration.complete(config, f"{workflow.basedir}/workflow/schemas/config.schema.yaml")
except SecateurError as error:
    raise WorkflowError(f"the configuration is not valid:\n{error}")

ROOT = f"results/{config['study']}"
LOGS = f"logs/{config['study']}"
BENCHMARKS = f"{ROOT}/benchmarks"
MODEL_TAIL = "models/{corpus}/{model}/{scope}/{method}/{level}/seed{seed}"
MODEL = f"{ROOT}/{MODEL_TAIL}"
DECODING_TAIL = f"{MODEL_TAIL}/decode/{{split}}/{{language}}/{{search}}"
DECODING = f"{ROOT}/{DECODING_TAIL}"
REPORT = f"{ROOT}/report/index.html"


# Counts GPUs only where jobs ask for one; which one is secateur.devices' business.
GPU = 1 if config["device"] == "cuda" else 0


wildcard_constraints:
    corpus="[a-z0-9-]+",
    model="[a-z0-9-]+",
    lm="[a-z0-9-]+",
    scope="[a-z-]+",
    language="[a-z]+",
    method="[a-z0-9-]+",
    level=r"s\d{3,4}",
    seed=r"\d+",
    split="[a-z0-9-]+",
    search="[a-z0-9-]+",


def command(script, modules=(), **options):
    """The arguments of a script as one string, and with them the fingerprint of its code.

    One string because Snakemake compares the parameters of a rule as an unordered set of values, in which a swap goes
    unnoticed. Values other than strings, numbers and lists of them are written as JSON with sorted keys.
    """
    words = []
    for name, value in options.items():
        words.append("--" + name.replace("_", "-"))
        if isinstance(value, dict):
            words.append(json.dumps(value, sort_keys=True))
        elif isinstance(value, list):
            words += map(str, value)
        else:
            words.append(str(value))
    words += ["--code", fingerprint(workflow.basedir + f"/workflow/scripts/{script}.py", tuple(modules))]
    return shlex.join(words)


def subsampling(model):
    """Frames per encoder output of a model."""
    entry = config["models"][model]
    return entry["stack"] if entry["input"] == "stack" else 4


def used_corpora():
    return sorted({run.corpus for run in study.model_runs(config)})


def splits(corpus):
    options = config["corpora"][corpus]
    return corpora.recipe(options["recipe"]).splits(options)


def validation(corpus):
    return f"{ROOT}/validation/{corpus}.tsv"


def model_file(run):
    return f"{ROOT}/{run.folder}/model.safetensors"


def score_file(decoding):
    return f"{ROOT}/{decoding.folder}/score.json"
