"""What a job is told and what it reads: the plain part of a rule.

A slice of the configuration has a module `commands` with one function for each kind of job. It takes the study's paths
and the wildcards of the rule (anything with their names as attributes) and answers with a `Command`.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from secateur.core.provenance import PACKAGE_ROOT, fingerprint


@dataclass(frozen=True)
class Command:
    """A call of `secateur`.

    Attributes:
        name: of the command, as its file in `secateur/scripts` is called.
        options: by name; True stands for a flag, None and False for nothing, a mapping is written as JSON.
        inputs: files that the job reads, in the order in which Snakemake gets them.
        modules: modules that the command imports by name: its model's type, a corpus' recipe, a task.
    """

    name: str
    options: Mapping[str, Any]
    inputs: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()

    @cached_property
    def arguments(self) -> str:
        """The options as one string, and with them the fingerprint of the command's code.

        One string because Snakemake compares the parameters of a rule as an unordered set of values, in which a swap
        goes unnoticed.
        """
        words = []
        for name, value in self.options.items():
            if value is None or value is False:
                continue
            words.append(f"--{name.replace('_', '-')}")
            if isinstance(value, Mapping):
                words.append(json.dumps(value, sort_keys=True))
            elif isinstance(value, list | tuple):
                words += map(str, value)
            elif value is not True:
                words.append(str(value))
        return shlex.join([*words, "--code", self.code])

    @cached_property
    def code(self) -> str:
        """The fingerprint of the command's code."""
        return fingerprint(PACKAGE_ROOT / "secateur" / "scripts" / f"{self.name}.py", self.modules)
