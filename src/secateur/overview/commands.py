"""The commands that see all of a study: sizes, tables, figures and the page. No heavy imports."""

from secateur.compose import study as compose
from secateur.decoding.search import SEARCHES
from secateur.heads import study as heads
from secateur.heads.policies import POLICIES
from secateur.layers import study as layers
from secateur.layers.strategies import STRATEGIES
from secateur.overview.study import lexicons, lm_runs
from secateur.pruning import methods
from secateur.reporting import claims, figure, registry, table
from secateur.ssl.known_tasks import TASKS
from secateur.study import commands
from secateur.study.command import Command
from secateur.study.paths import Paths

WORDING = ("report", "container", "modules")
"""Keys of a study that decide no row of a table."""


def sizes(paths: Paths) -> Command:
    """What all checkpoints, sub-models, language models and lexicons of a study cost."""
    config = paths.config
    extra = [*heads.checkpoints(config), *compose.bare_runs(config)]
    return commands.sizes(paths, extra, layers.orders(config), lm_runs(config), lexicons(config))


def tables(paths: Paths) -> Command:
    """All tables; a new caption makes none of them again."""
    study = {key: value for key, value in paths.config.items() if key not in WORDING}
    return Command("tables", {"study": study, "root": paths.root}, modules=_of_tables())


def figures(paths: Paths) -> Command:
    """All figures, out of the tables."""
    shown = (*methods.shown_modules(), *STRATEGIES.shown_modules(), *POLICIES.shown_modules())
    options = {"tables": f"{paths.root}/tables", "output": f"{paths.root}/figures"}
    return Command("figures", options, modules=(*figure.function_modules(), *shown))


def page(paths: Paths) -> Command:
    """The page, on which captions are printed."""
    modules = (*registry.modules(), *_of_tables())
    return Command("report", {"config": paths.config, "root": paths.root}, modules=modules)


def _of_tables() -> tuple[str, ...]:
    """The modules that tables import by name, and how plug-ins are shown in them."""
    plugins = (SEARCHES, TASKS, POLICIES)
    shown = (module for kind in plugins for module in kind.shown_modules())
    return (*table.function_modules(), *claims.modules(), *methods.shown_modules(), *shown)
