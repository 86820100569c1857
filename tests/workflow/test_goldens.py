"""A study's jobs are those that were noted: who changes one notes it again (tests/goldens.py STUDY --write)."""

import goldens
import pytest


@pytest.mark.parametrize("study", goldens.STUDIES)
def test_every_job_is_as_it_was_noted(study):
    noted = (goldens.FOLDER / f"{study}.txt").read_text().splitlines()
    found = goldens.lines(goldens.jobs(study))
    missing, extra = sorted(set(noted) - set(found)), sorted(set(found) - set(noted))
    assert (missing, extra) == ([], []), f"if this is wanted: python tests/goldens.py {study} --write"


def test_the_default_study_has_few_jobs():
    """What Snakemake and starting processes cost goes with their number (docs/run.md)."""
    assert len((goldens.FOLDER / "default.txt").read_text().splitlines()) <= 150
