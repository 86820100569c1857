"""The workflow on a real SLURM cluster of virtual nodes: the smoke study, and faults. Run by `make test-cluster`."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml
from clones import ROOT, Clone, finished, kill_tree, wait_for
from differences import differences
from slurm import ACCOUNT, Cluster
from this_machine import processes, read, run

from secateur.core.files import read_json
from secateur.models.tensors import load_tensors

pytestmark = pytest.mark.cluster

MODEL = "results/smoke/models/espeak/ctc/en/dense/s000/seed1"
TARGET = f"{MODEL}/model.safetensors"
LOG = "logs/smoke/models/espeak/ctc/en/dense/s000/seed1.log"
SECONDS = 900  # for a test of a few jobs, on a busy machine
SMOKE_SECONDS = 7200


@pytest.fixture(autouse=True)
def deadline(request):
    """End a test that hangs, so that what it brought up is taken down."""

    def late(*_):
        raise TimeoutError("the test takes too long")

    previous = signal.signal(signal.SIGALRM, late)
    signal.alarm(SMOKE_SECONDS if "smoke" in request.node.name else 2 * SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture(scope="module")
def cluster(request) -> Iterator[Cluster]:
    """A cluster that is up; with accounting, unless a test asks for both kinds."""
    with Cluster(accounting=getattr(request, "param", True)) as cluster:
        yield cluster


both_kinds = pytest.mark.parametrize("cluster", [True, False], indirect=True, ids=["accounting", "no-accounting"])


@dataclass(frozen=True)
class Site:
    """A clone whose profile `test` has been adapted to the cluster, as docs/cluster.md tells a user to."""

    clone: Clone
    study: str = "smoke"

    @classmethod
    def make(cls, clone: Clone, study: str = "smoke") -> "Site":
        text = (clone.folder / "profiles" / "slurm" / "config.yaml").read_text()
        for old, new in (
            ("# slurm_account: my-project", f"slurm_account: {ACCOUNT}"),
            ("# slurm_partition: cpu", "slurm_partition: cpu"),
            ("device: cuda", "device: cpu"),
            ("before-status-checks: 40", "before-status-checks: 2"),
        ):
            assert old in text
            text = text.replace(old, new)
        (clone.folder / "profiles" / "test").mkdir(exist_ok=True)
        (clone.folder / "profiles" / "test" / "config.yaml").write_text(text)
        return cls(clone, study)

    def start(self, *arguments: str):
        return self.clone.start(*arguments, study=self.study, profile="test")

    def launch(self, *arguments: str, seconds: float = SECONDS, check: bool = True) -> tuple[int, str]:
        return finished(self.start(*arguments), seconds, check)

    def file(self, name: str) -> Path:
        return self.clone.folder / name

    @property
    def resumed(self) -> bool:
        """Whether the last job of the model went on from a saved step."""
        return re.search(r"resumed at step [1-9]", self.file(LOG).read_text()) is not None


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> tuple[Site, bytes]:
    """A clone in which all is done that a model needs, and what the model is when nothing disturbs it.

    The path has a space. The study saves its state at every step.
    """
    clone = Clone.make(tmp_path_factory.mktemp("a clone") / "secateur")
    study = yaml.safe_load((ROOT / "workflow/studies/smoke.yaml").read_text())
    study["training"]["acoustic"] |= {"steps": 150, "checkpoint_seconds": 0}
    (clone.folder / "faults.yaml").write_text(yaml.safe_dump(study))
    site = Site.make(clone, str(clone.folder / "faults.yaml"))
    clone.launch(TARGET, study=site.study)
    whole = site.file(TARGET).read_bytes()
    shutil.rmtree(site.file(MODEL))
    return site, whole


@pytest.fixture
def site(prepared, tmp_path) -> Site:
    """A copy of the prepared clone, for one test."""
    folder = tmp_path / "a copy"
    clone = prepared[0].clone.copy(folder)
    return Site(clone, str(folder / "faults.yaml"))


@pytest.fixture
def whole(prepared) -> bytes:
    """The model, undisturbed."""
    return prepared[1]


def job_in_training(cluster: Cluster, site: Site, process: subprocess.Popen) -> dict[str, str]:
    """Wait until a job that trains has saved its state, of a run that goes on; the job."""
    state = site.file(f"{MODEL}/resume/state.safetensors")
    before = state.stat().st_mtime_ns if state.exists() else 0
    wait_for(lambda: process.poll() is not None or (state.exists() and state.stat().st_mtime_ns > before), SECONDS)
    assert process.poll() is None, process.communicate()[0]
    return next(job for job in cluster.jobs("RUNNING") if "rule_train_" in job["comment"])


def clean(site: Site) -> bool:
    """Whether Snakemake left no lock."""
    locks = site.file(".snakemake/locks")
    return not locks.exists() or not any(locks.iterdir())


@both_kinds
def test_a_job_whose_node_is_lost_goes_on_elsewhere(cluster, site, whole):
    process = site.start(TARGET)
    job = job_in_training(cluster, site, process)
    cluster.lose_node(job["node"])
    try:
        _, said = finished(process, SECONDS)
    finally:
        cluster.start_node(job["node"])
    assert "NODE_FAIL" in said
    assert site.file(TARGET).read_bytes() == whole and site.resumed


def test_a_cancelled_job_is_repeated(cluster, site, whole):
    process = site.start(TARGET)
    run("scancel", job_in_training(cluster, site, process)["id"])
    _, said = finished(process, SECONDS)
    assert "CANCELLED" in said
    assert site.file(TARGET).read_bytes() == whole and site.resumed


def test_a_job_over_its_memory_is_repeated_with_more(cluster, site, whole):
    _, said = site.launch(TARGET, "--set-resources", "train:mem_mb=250 * attempt ** 4", "train:runtime=60")
    assert re.search(r"status is: '(OUT_OF_MEMORY|FAILED|CANCELLED)'", said), said  # the system's killer, or SLURM's
    jobs = [job["memory"] for job in cluster.jobs("all") if "rule_train_" in job["comment"]]
    assert jobs[-2:] in (["250M", "4000M"], ["4000M", "250M"])
    assert site.file(TARGET).read_bytes() == whole


def test_a_job_over_its_time_is_repeated_with_more_and_goes_on(cluster, site, whole):
    """It hangs, too: nothing but the limit ends it."""
    process = site.start(TARGET, "--set-resources", "train:runtime=1 + 59 * (attempt - 1)", "train:mem_mb=4000")
    job = job_in_training(cluster, site, process)
    for pid in processes():
        if f"SLURM_JOB_ID={job['id']}" in read(pid, "environ").split("\0") and "train.py" in read(pid, "cmdline"):
            os.kill(pid, signal.SIGSTOP)
    _, said = finished(process, SECONDS)
    assert "TIMEOUT" in said
    assert site.file(TARGET).read_bytes() == whole and site.resumed


def test_a_refused_submission_is_told_and_the_same_command_goes_on_later(cluster, site, whole):
    other = "results/smoke/features/espeak/en/test/feats.ark"  # in another partition
    run("scontrol", "update", "PartitionName=cpu", "State=DRAIN")
    try:
        status, said = site.launch(
            TARGET, other, "--set-resources", "train:runtime=60", "features:slurm_partition=gpu", check=False
        )
    finally:
        run("scontrol", "update", "PartitionName=cpu", "State=UP")
    assert status != 0 and "SLURM sbatch failed" in said and "Give the same command again to resume it" in said
    assert site.file(other).exists() and not site.file(TARGET).exists()
    site.launch(TARGET)
    assert site.file(TARGET).read_bytes() == whole


@both_kinds
def test_a_controller_that_is_away_is_waited_for(cluster, site, whole):
    process = site.start(TARGET)
    job = job_in_training(cluster, site, process)
    cluster.stop_controller()
    time.sleep(60)
    assert process.poll() is None
    cluster.start_controller()
    finished(process, SECONDS)
    assert site.file(TARGET).read_bytes() == whole
    assert newest(cluster, "rule_train_") == job["id"], "it is not repeated"


def test_an_interrupt_cancels_the_jobs_and_the_same_command_goes_on(cluster, site, whole):
    process = site.start(TARGET)
    job_in_training(cluster, site, process)
    process.send_signal(signal.SIGINT)
    status, _ = finished(process, 120, check=False)
    assert status != 0 and clean(site)
    wait_for(lambda: not cluster.jobs(), 60)
    _, said = site.launch(TARGET)
    assert "left behind" not in said and "was killed" not in said
    assert site.file(TARGET).read_bytes() == whole and site.resumed


def test_jobs_of_a_killed_snakemake_do_not_race_the_same_command(cluster, site, whole):
    process = site.start(TARGET)
    job = job_in_training(cluster, site, process)
    kill_tree(process.pid)
    process.communicate()
    assert job["id"] in [other["id"] for other in cluster.jobs("RUNNING")], "nobody else cancels it"
    _, said = site.launch(TARGET)
    assert "Cancelling 1 SLURM jobs that a killed run left behind." in said
    assert "The run before was killed" in said
    assert job["id"] in [other["id"] for other in cluster.jobs("CANCELLED")]
    assert site.file(TARGET).read_bytes() == whole and site.resumed


def test_jobs_ask_for_gpus_and_decodings_share_one(cluster, site):
    """The GPUs are pretended, so every job stops at once and says why."""
    profile = site.file("profiles/test/config.yaml")
    profile.write_text(profile.read_text().replace("# slurm_partition: gpu", "slurm_partition: gpu"))
    once = ("--retries", "0", "--config", "device=cuda")
    status, _ = site.launch(TARGET, *once, check=False)
    assert status != 0 and "device: cuda was asked for but no GPU is visible" in site.file(LOG).read_text()
    asked = details(newest(cluster, "rule_train_"))
    assert asked["TresPerJob"] == "gres:gpu:1" and asked["Partition"] == "gpu" and asked["Account"] == ACCOUNT
    assert asked["MinMemoryNode"] == "16000M" and asked["TimeLimit"] == "1-00:00:00" and asked["Requeue"] == "0"

    scores = [f"{MODEL}/decode/{search}/score.json" for search in ("greedy", "beam", "lexicon")]
    site.launch(TARGET)
    status, _ = site.launch(*scores, *once, "--rerun-triggers", "mtime", check=False)
    assert status != 0
    asked = details(newest(cluster, "rule_decoding_"))
    assert asked["TresPerJob"] == "gres:gpu:1" and asked["NumCPUs"] == "1" and asked["MinMemoryNode"] == "8000M"
    assert asked["TimeLimit"] == "03:00:00", "one after the other: three of an hour"


def newest(cluster: Cluster, comment: str) -> str:
    """The number of the newest job whose comment begins so."""
    return max((job["id"] for job in cluster.jobs("all") if job["comment"].startswith(comment)), key=int)


def details(job: str) -> dict[str, str]:
    """What SLURM knows about a job."""
    words = run("scontrol", "show", "job", job).split()
    return dict(word.split("=", 1) for word in words if "=" in word)


def test_two_processes_on_each_of_two_nodes_train_as_four_on_one(cluster, site):
    study = yaml.safe_load(Path(site.study).read_text())
    models = []
    for processes_, nodes in ((2, 2), (4, 1)):
        study["training"]["acoustic"] |= {"steps": 20, "processes": processes_, "nodes": nodes}
        Path(site.study).write_text(yaml.safe_dump(study))
        site.launch(TARGET)
        models.append(load_tensors(site.file(TARGET)))
        assert read_json(site.file(f"{MODEL}/run.json"))["processes"] == 4
        asked = details(newest(cluster, "rule_train_"))
        assert asked["NumNodes"].partition("-")[0] == str(nodes) and asked["NumCPUs"] == "4"
    for name, value in models[0].items():
        torch.testing.assert_close(models[1][name], value, rtol=1e-3, atol=1e-4)


def test_the_smoke_study_gives_the_same_bytes_as_on_this_machine(cluster, tmp_path_factory):
    """Everything but times, hosts and what is made of them; see `differences` and `Clone.repeatable_study`."""
    here = Clone.make(tmp_path_factory.mktemp("here") / "a clone")
    there = Clone.make(tmp_path_factory.mktemp("there") / "a clone")
    there = Site.make(there, there.repeatable_study())
    here.launch(study=here.repeatable_study(), seconds=SMOKE_SECONDS)
    _, said = there.launch(seconds=SMOKE_SECONDS)
    assert f"Report: {there.file('results/smoke/report/index.html')}" in said
    assert differences(here.folder / "results/smoke", there.file("results/smoke")) == []
