"""The SUPERB-style tasks that there are: the files of `secateur.ssl.tasks` with a `TASK`. No heavy imports."""

from pathlib import Path

from secateur.core.plugins import Plugins

TASKS = Plugins("task", f"{__package__}.tasks", Path(__file__).parent / "tasks", mark="TASK")
PATH = "path"
"""The `format` of options that name files or folders."""


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
