"""What rules give to Snakemake: functions of a job's wildcards, and constraints of them."""

from collections.abc import Callable, Iterable
from typing import Any

from secateur.study.command import Command
from secateur.study.paths import Paths

Make = Callable[[Paths, Any], Command]


class Wiring:
    """Inputs and arguments of jobs. Snakemake asks for those of a job several times; its command is built once."""

    def __init__(self, paths: Paths):
        self.paths = paths
        self._built: dict[tuple[Any, ...], Command] = {}

    def files(self, make: Make) -> Callable[[Any], list[str]]:
        """The inputs of a rule whose command `make` builds."""
        return lambda wildcards: list(self._command(make, wildcards).inputs)

    def words(self, make: Make) -> Callable[[Any], str]:
        """The arguments of a rule whose command `make` builds."""
        return lambda wildcards: self._command(make, wildcards).arguments

    def _command(self, make: Make, wildcards: Any) -> Command:
        job = (make, *wildcards.items())
        if job not in self._built:
            self._built[job] = make(self.paths, wildcards)
        return self._built[job]


def one_of(names: Iterable[str]) -> str:
    """A constraint for a wildcard: one of these names, which may be none."""
    return "|".join(sorted(set(names))) or "(?!)"
