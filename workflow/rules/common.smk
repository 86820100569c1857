# What all rules share: the checked configuration, wildcard constraints, and where a rule's inputs and words come from.
# Shell commands `exec`: a shell that is killed would leave its script behind, which then works beside the repetition.
import os
from pathlib import Path
from types import SimpleNamespace

from snakemake.exceptions import WorkflowError

from secateur.compose import commands as compose_commands
from secateur.compose import study as compose
from secateur.config.complete import complete
from secateur.core import gpus
from secateur.core.errors import SecateurError
from secateur.core.scheduler import one_timer
from secateur.decoding.search import SEARCHES
from secateur.exits import commands as exits_commands
from secateur.exits import study as exits
from secateur.exported import commands as exported_commands
from secateur.exported import study as exported
from secateur.heads import commands as heads_commands
from secateur.heads import study as heads
from secateur.heads.policies import POLICIES
from secateur.layers import commands as layers_commands
from secateur.layers import study as layers
from secateur.layers.strategies import STRATEGIES
from secateur.overview.resources import FIRST, JobResources
from secateur.overview.study import lexicon_files, lexicons, lm_runs
from secateur.pruning import commands as pruning_commands
from secateur.pruning import methods as pruning_methods
from secateur.reporting import claims, registry
from secateur.reporting import figure as figure_specs
from secateur.reporting import table as table_specs
from secateur.ssl import commands as ssl_commands
from secateur.ssl import study as upstreams
from secateur.ssl.known_tasks import TASKS
from secateur.streaming import commands as streaming_commands
from secateur.study import commands, own
from secateur.study import runs as study
from secateur.study.command import Command
from secateur.study.paths import LM_TAIL, MODEL_TAIL, Paths, run_of

try:
    config = complete(config)
    if workflow.is_main_process:
        own.inspect(config, Path(f"logs/{config['study']}/pretrained"))
except SecateurError as error:
    raise WorkflowError(f"the configuration is not valid:\n{error}")

one_timer()

PATHS = Paths(config)
ROOT, LOGS = PATHS.root, PATHS.logs
BENCHMARKS = f"{ROOT}/benchmarks"
MODEL = f"{ROOT}/{MODEL_TAIL}"
DECODING_TAIL = f"{MODEL_TAIL}/decode/{{search}}"
DECODING = f"{ROOT}/{DECODING_TAIL}"
TABLE_FILES = [f"{ROOT}/tables/{name}" for table in table_specs.tables() for name in table.outputs]
FIGURE_FILES = [f"{ROOT}/figures/{figure.file}" for figure in figure_specs.figures()]
REPORT = f"{ROOT}/report/index.html"

SPELLED = own.spelled(config)

GPU = 1 if config["device"] == "cuda" or (config["device"] == "auto" and gpus.visible()) else 0
if GPU and workflow.is_main_process and workflow.resource_settings.cores:
    os.environ[gpus.SHARE] = str(config["gpu_share"])  # jobs inherit it; a cluster gives each job GPUs of its own
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
    rate=r"stack\d+|conv2d|window\d+",
    upstream="[a-z0-9-]+",
    student="[a-z0-9-]+",


def files(make):
    """The inputs of a rule whose command `make` builds."""
    return lambda wildcards: list(make(PATHS, wildcards).inputs)


def words(make):
    """The arguments of a rule whose command `make` builds."""
    return lambda wildcards: make(PATHS, wildcards).arguments


def one_of(names):
    """A constraint for a wildcard: one of these names, which may be none."""
    return "|".join(sorted(set(names))) or "(?!)"
