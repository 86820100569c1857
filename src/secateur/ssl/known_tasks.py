"""The SUPERB-style tasks that there are: the files of `secateur.ssl.tasks` with a `TASK`. No heavy imports."""

from pathlib import Path

from secateur.core.errors import SecateurError
from secateur.core.plugins import Plugins

TASKS = Plugins("task", f"{__package__}.tasks", Path(__file__).parent / "tasks", mark="TASK")
DEV = "dev_"
"""How metrics of dev data begin: systems are chosen by them, and the tables of tasks do not show them."""
PATH = "path"
"""The `format` of options that name files or folders."""


def spoken() -> tuple[str, str]:
    """The task whose error rate stands for that of an encoder, and its metric. Raises SecateurError without one."""
    for name, plugin in TASKS.all().items():
        if metric := plugin.get("SHOWN", {}).get("rate"):
            return name, metric
    raise SecateurError(f"{TASKS.folder}: no task has a rate for tables of systems; name its metric in its SHOWN")


def missing(name: str) -> str:
    """Why a corpus of transcribed speech cannot carry a task; nothing if it can."""
    return TASKS.named(name).get("MISSING", "")


def official_files(name: str) -> tuple[str, ...]:
    """Options that name what a task on official data needs."""
    return ("root", *TASKS.named(name).get("OFFICIAL", ()))


def paths(name: str) -> tuple[str, ...]:
    """All options of a task that name files or folders."""
    options = TASKS.named(name).options
    return ("root", *(key for key, schema in options.items() if schema.get("format") == PATH))
