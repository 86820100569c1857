"""What rules give to Snakemake, and what jobs ask of this machine."""

import re

import pytest
from snakemake.iocontainers import Wildcards

from secateur.core import gpus
from secateur.overview import resources
from secateur.overview.resources import JobResources
from secateur.study.command import Command
from secateur.study.paths import Paths
from secateur.study.wiring import Wiring, one_of


def test_a_rule_has_the_inputs_and_arguments_of_its_jobs_command_which_is_built_once():
    paths, built = Paths({"study": "toy"}), []

    def make(given, at):
        built.append((given, at.model))
        return Command("tokens", {"model": at.model, "often": True}, (f"data/{at.model}", "tokens.txt"))

    wiring = Wiring(paths)
    small, large = (Wildcards(fromdict={"model": name}) for name in ("small", "large"))
    assert wiring.files(make)(small) == ["data/small", "tokens.txt"]
    assert wiring.words(make)(small).startswith("--model small --often --code ")
    assert wiring.files(make)(large) == ["data/large", "tokens.txt"]
    assert built == [(paths, "small"), (paths, "large")]
    assert wiring.files(lambda given, at: Command("tokens", {}))(small) == [], "of another rule with the same wildcards"


def test_a_list_of_inputs_may_be_changed_by_whoever_gets_it():
    wiring = Wiring(Paths({"study": "toy"}))
    files = wiring.files(lambda paths, at: Command("tokens", {}, ("a",)))
    files(Wildcards()).append("b")
    assert files(Wildcards()) == ["a"]


def test_a_constraint_of_no_names_fits_nothing():
    assert one_of(["b", "a", "b"]) == "a|b"
    assert not any(re.fullmatch(one_of([]), text) for text in ("", "a"))


@pytest.mark.parametrize(
    ("device", "seen", "cores", "gpu", "share"),
    [
        ("auto", 2, 4, 1, "3"),
        ("auto", 0, 4, 0, None),
        ("cuda", 0, 4, 1, "3"),
        ("cpu", 2, 4, 0, None),
        ("auto", 1, None, 1, None),
    ],
)
def test_jobs_use_a_gpu_where_one_is_seen_or_asked_for_and_share_it_here(device, seen, cores, gpu, share, monkeypatch):
    monkeypatch.setattr(gpus, "visible", lambda: seen)
    monkeypatch.setattr(resources.os, "environ", environment := {})
    found = JobResources.on_this_machine(Paths({"study": "toy", "device": device, "gpu_share": 3}), cores)
    assert (found.gpu, found.all_cores) == (gpu, cores or 1)
    assert environment.get(gpus.SHARE) == share
