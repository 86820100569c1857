# What all rules share: the checked configuration, wildcard constraints, and where a rule's inputs and words come from.
# Shell commands `exec`: a shell that is killed would leave its script behind, which then works beside the repetition.
from types import SimpleNamespace

from snakemake.exceptions import WorkflowError

from secateur.core import gpus
from secateur.core.errors import SecateurError
from secateur.heads import commands as heads_commands
from secateur.heads import study as heads
from secateur.layers import commands as layers_commands
from secateur.layers import study as layers
from secateur.pruning import commands as pruning_commands
from secateur.pruning import methods as pruning_methods
from secateur.reporting.figures import FIGURES
from secateur.reporting.tables import TABLES
from secateur.ssl import commands as ssl_commands
from secateur.ssl import study as upstreams
from secateur.study import commands
from secateur.study import config as configuration
from secateur.study import runs as study
from secateur.study.command import Command
from secateur.study.paths import LM_TAIL, MODEL_TAIL, Paths, run_of
from secateur.study.resources import FIRST, JobResources

try:
    config = configuration.complete(config)
except SecateurError as error:
    raise WorkflowError(f"the configuration is not valid:\n{error}")

PATHS = Paths(config)
ROOT, LOGS = PATHS.root, PATHS.logs
BENCHMARKS = f"{ROOT}/benchmarks"
MODEL = f"{ROOT}/{MODEL_TAIL}"
DECODING_TAIL = f"{MODEL_TAIL}/decode/{{split}}/{{language}}/{{search}}"
DECODING = f"{ROOT}/{DECODING_TAIL}"
TABLE_FILES = [f"{ROOT}/tables/{name}" for table in TABLES for name in table.files]
FIGURE_FILES = [f"{ROOT}/figures/{figure.name}.svg" for figure in FIGURES]
REPORT = f"{ROOT}/report/index.html"
# What decides which rows the tables have.
STUDY = {key: value for key, value in config.items() if key not in ("report", "container", "modules")}

GPU = 1 if config["device"] == "cuda" or (config["device"] == "auto" and gpus.visible()) else 0
RESOURCES = JobResources(PATHS, GPU, workflow.resource_settings.cores if workflow.is_main_process else None)


wildcard_constraints:
    corpus="[a-z0-9-]+",
    model="[a-z0-9-]+",
    lm="[a-z0-9-]+",
    scope="[a-z-]+",
    language="[a-z]+",
    method="[a-z0-9+-]+",
    level=r"s\d{3,4}",
    seed=r"\d+",
    split="[a-z0-9-]+",
    search="[a-z0-9-]+",
    rate=r"stack\d+|conv2d",
    upstream="[a-z0-9-]+",
    student="[a-z0-9-]+",


def files(make):
    """The inputs of a rule whose command `make` builds."""
    return lambda wildcards: list(make(PATHS, wildcards).inputs)


def words(make):
    """The arguments of a rule whose command `make` builds."""
    return lambda wildcards: make(PATHS, wildcards).arguments


# --- report


def language_models_used():
    """(corpus, language model, seed) of everything that the study's searches need."""
    return sorted(
        {
            (decoding.run.corpus, config["searches"][decoding.search]["lm"], decoding.run.seed)
            for decoding in (*study.decodings(config), *layers.decodings(config))
            if config["searches"][decoding.search].get("lm")
        }
    )


def measurements(wildcards):
    """Every file that the tables read."""
    used = sorted(study.used_corpora(config))
    files = [PATHS.validation(corpus) for corpus in used]
    for corpus in used:
        for language in config["corpora"][corpus]["languages"]:
            folder = f"{ROOT}/data/{corpus}/{language}"
            files += [f"{folder}/source.json", f"{folder}/dropped.tsv", f"{folder}/run.json"]
    files += [f"{ROOT}/sizes.json", f"{ROOT}/masks.json"]
    for run in study.model_runs(config):
        names = ["history.tsv", "run.json", *(["adaptations.tsv"] if run.mask_changes else [])]
        files += [f"{ROOT}/{run.folder}/{name}" for name in names]
    for decoding in study.decodings(config):
        folder = f"{ROOT}/{decoding.folder}"
        files += [f"{folder}/{name}" for name in ("score.json", "utterances.tsv", "latency.json", "run.json")]
    for decoding in layers.decodings(config):
        files += [f"{ROOT}/{decoding.folder}/{name}" for name in ("score.json", "utterances.tsv", "run.json")]
    for entry, run in layers.runs(config):
        files += [f"{ROOT}/{layers.rtf_file(run)}", *layers_commands.orders(PATHS, run)]
    for comparison in layers.comparisons(config):
        files.append(f"{ROOT}/{layers.similarity_folder(*comparison)}/similarity.tsv")
    for decoding in (*heads.decodings(config), *heads.combined_decodings(config)):
        files += [f"{ROOT}/{decoding.folder}/{name}" for name in ("score.json", "utterances.tsv", "run.json")]
    for _, run in heads.runs(config):
        paths = (heads.importance_file(run), heads.removals_file(run), heads.latency_file(run))
        files += [f"{ROOT}/{path}" for path in paths]
    files += [f"{ROOT}/{heads.perplexity_file(*lm)}" for lm in heads.perplexities(config)]
    for corpus, lm, seed in language_models_used():
        folder = f"{ROOT}/{study.lm_folder(corpus, lm, seed)}"
        files += [f"{folder}/history.tsv", f"{folder}/run.json"]
    return files + [f"{ROOT}/{path}" for path in upstreams.measured(config)]
