"""What jobs ask Snakemake for: processes, nodes, GPUs, and how urgent they are."""

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from secateur.core import gpus
from secateur.decoding import search as searches
from secateur.ssl import commands as ssl
from secateur.ssl import study as upstreams
from secateur.study import runs
from secateur.study.graph import steps_to_come
from secateur.study.paths import MODEL_TAIL, Paths, run_of

FIRST = 10**9
"""The priority of what trainings wait for: one that is ready early must not keep the longest chain from beginning."""


class JobResources:
    """What the jobs of a study ask for.

    Args:
        gpu: GPUs that a job which computes uses, 0 or 1: so Snakemake starts no more jobs than there are; which one a
            job takes is the business of `secateur.core.devices`.
        cores: of this machine; None where jobs go to a cluster, and in those jobs.
    """

    def __init__(self, paths: Paths, gpu: int, cores: int | None):
        self.paths, self.gpu, self.all_cores = paths, gpu, cores or 1
        # At most half of the cores: jobs of one core would hardly ever leave all of them free at once.
        self.feature_threads = max(1, min(4, cores // 2)) if cores else 4

    @classmethod
    def on_this_machine(cls, paths: Paths, cores: int | None) -> "JobResources":
        """Those of a run with so many cores, on the GPUs that are visible here if the study lets it use any.

        Jobs of this machine are told how many of them share a GPU; a cluster gives each job GPUs of its own.
        """
        device = paths.config["device"]
        gpu = int(device == "cuda" or (device == "auto" and gpus.visible() > 0))
        if gpu and cores:
            os.environ[gpus.SHARE] = str(paths.config["gpu_share"])
        return cls(paths, gpu, cores)

    def training_of(self, at: Any) -> Mapping[str, Any]:
        """The entry of `training` of the model, or language model, that the wildcards of a rule name."""
        config = self.paths.config
        if hasattr(at, "lm"):
            return config["training"][config["language_models"][at.lm]["training"]]
        if hasattr(at, "upstream"):
            return config["training"][upstreams.training_of(ssl.entry_of(self.paths, at), ssl.part_of(at))]
        if hasattr(at, "method"):
            return config["training"][runs.training_of(config, run_of(at))]
        return config["training"][config["models"][at.model]["training"]]

    def processes(self, at: Any) -> int:
        """The processes of a job that trains, on each of its nodes: its `threads`."""
        return self.training_of(at)["processes"]

    @cached_property
    def _to_come(self) -> Mapping[str, int]:
        return steps_to_come(self.paths.config)

    def urgency(self, at: Any) -> int:
        """The priority of a training: the steps of the longest chain of trainings that it begins.

        What is trained already takes a second, and dense rows wait for it.
        """
        if not self.training_of(at)["steps"]:
            return FIRST
        if hasattr(at, "lm"):
            return self.training_of(at)["steps"]
        if hasattr(at, "upstream"):
            return upstreams.steps_to_come(self.paths.config, ssl.entry_of(self.paths, at), ssl.part_of(at))
        return self._to_come[MODEL_TAIL.format(**({"method": "dense", "level": "s000"} | dict(at.items())))]

    def first_seen(self, at: Any) -> int:
        """The priority of a decoding: dense models come first, since the first page of the report waits for them.

        Greedy searches of others take seconds, and each adds a system to the page: they come as soon as they can.
        """
        if at.method == "dense":
            return FIRST
        greedy = hasattr(at, "search") and searches.is_greedy(self.paths.config["searches"][at.search]["type"])
        return FIRST - 1 if greedy else 0

    @property
    def training(self) -> dict[str, Callable[[Any], Any]]:
        """What a job that trains asks for beside memory and time.

        On several nodes the command itself starts a process on each (`mpi` keeps the executor from doing so), and GPUs
        are counted by node.
        """

        def one_node(wildcards):
            return self.gpu * self.processes(wildcards) if self.training_of(wildcards)["nodes"] == 1 else 0

        return {
            "gpu": one_node,
            "nodes": self._several(lambda processes, nodes: nodes),
            "tasks": self._several(lambda processes, nodes: nodes),
            "tasks_per_gpu": self._several(lambda processes, nodes: 0),
            "gres": self._several(lambda processes, nodes: f"gpu:{processes}" if self.gpu else None),
            "mpi": self._several(lambda processes, nodes: "srun"),
        }

    def _several(self, value: Callable[[int, int], Any]) -> Callable[[Any], Any]:
        """A resource, a function of processes and nodes; left out on one node."""

        def resource(wildcards):
            training = self.training_of(wildcards)
            return value(training["processes"], training["nodes"]) if training["nodes"] > 1 else None

        return resource
