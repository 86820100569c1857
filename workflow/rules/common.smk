# What all rules share: the checked configuration, wildcard constraints, and where a rule's inputs and words come from.
# Shell commands `exec`: a shell that is killed would leave its script behind, which then works beside the repetition.
from pathlib import Path

from snakemake.exceptions import WorkflowError

from secateur.compose import study as compose
from secateur.config.complete import complete
from secateur.config.written import from_command_line
from secateur.core.errors import SecateurError
from secateur.core.scheduler import one_timer
from secateur.exits import study as exits
from secateur.exported import study as exported
from secateur.heads import study as heads
from secateur.heads.policies import POLICIES
from secateur.layers import study as layers
from secateur.layers.strategies import STRATEGIES
from secateur.overview.resources import JobResources
from secateur.pruning import methods as pruning_methods
from secateur.study import commands, own
from secateur.study import runs as study
from secateur.study.paths import LM_TAIL, MODEL_TAIL, Paths
from secateur.study.wiring import Wiring, one_of

try:
    config = complete(from_command_line(config, workflow.config_settings.config))
    if workflow.is_main_process:
        own.inspect(config, Path(f"logs/{config['study']}/pretrained"))
except SecateurError as error:
    raise WorkflowError(f"the configuration is not valid:\n{error}")

one_timer()

PATHS = Paths(config)
ROOT, LOGS = PATHS.root, PATHS.logs
BENCHMARKS = f"{ROOT}/benchmarks"
MODEL = f"{ROOT}/{MODEL_TAIL}"
REPORT = f"{ROOT}/report/index.html"

WIRING = Wiring(PATHS)
files, words = WIRING.files, WIRING.words
CORES = workflow.resource_settings.cores if workflow.is_main_process else None
RESOURCES = JobResources.on_this_machine(PATHS, CORES)
GPU = RESOURCES.gpu


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
