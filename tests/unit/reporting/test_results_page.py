"""docs/results.md and the README's numbers: made from the tables that the repository keeps, and from nothing else."""

import shutil
from pathlib import Path

import pytest

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, read_tsv
from secateur.reporting import kept, results_page
from secateur.reporting.claims import claims
from secateur.reporting.figure import EMPTY
from secateur.reporting.kept import Kept
from secateur.reporting.registry import resolve
from secateur.reporting.results_page import BEGIN, END, merged, quoting, standing, standings, write_results

ROOT = Path(__file__).resolve().parents[3]
README = f"# A project\n\n{BEGIN}\nold numbers\n{END}\n\nMore.\n"
COLUMNS = resolve("secateur.overview.claimed:COLUMNS")


def paths(root: Path) -> tuple[Path, Path, Path, Path]:
    return root / "docs/evidence", root / "workflow/studies", root / "docs/results.md", root / "README.md"


def made(root: Path) -> dict[str, bytes]:
    """Every file that was made below a clone's `docs`, and its README."""
    files = [file for file in (root / "docs").rglob("*") if file.is_file()] + [root / "README.md"]
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def written_anew(tmp_path: Path) -> Path:
    """A folder with what the repository keeps, and the pages made of it."""
    evidence, _, page, readme = paths(tmp_path)
    if paths(ROOT)[0].is_dir():
        shutil.copytree(paths(ROOT)[0], evidence)
    shutil.copy(ROOT / "README.md", readme)
    write_results(evidence, ROOT / "workflow/studies", page, readme)
    return tmp_path


def test_the_page_and_the_readme_are_what_the_kept_tables_say(tmp_path, monkeypatch):
    def committed(spec, tables, path):
        """The committed picture in the place of a drawn one, which takes seconds: `…_drawn_anew` draws."""
        file = ROOT / "docs/figures" / path.parent.name / path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("drawn" if file.is_file() else f"<dc:description>{EMPTY}<")

    monkeypatch.setattr(results_page, "write_figure", committed)
    root = written_anew(tmp_path)
    for name in ("docs/results.md", "README.md"):
        assert (root / name).read_text() == (ROOT / name).read_text(), f"{name}: run `make docs`"
    drawn = {str(file.relative_to(root)) for file in (root / "docs").glob("figures/*/*.svg")}
    assert drawn == {str(file.relative_to(ROOT)) for file in (ROOT / "docs").glob("figures/*/*.svg")}, "run `make docs`"


@pytest.mark.slow
def test_committed_figures_are_those_drawn_anew(tmp_path):
    root = written_anew(tmp_path)
    for file in (root / "docs").glob("figures/*/*.svg"):
        assert file.read_bytes() == (ROOT / file.relative_to(root)).read_bytes(), f"{file.name}: run `make docs`"


@pytest.fixture(scope="module")
def clone(tmp_path_factory, finished) -> Path:
    """An imitation of the repository that keeps the tables of a finished study, with its pages."""
    root = tmp_path_factory.mktemp("clone")
    evidence, studies, page, readme = paths(root)
    readme.write_text(README)
    studies.mkdir(parents=True)
    (studies / "evidence-more.yaml").write_text("study: evidence-more\n")
    assert kept.keep(finished, evidence) == evidence / "tiny"
    (evidence / "tiny").rename(evidence / "default")
    write_results(evidence, studies, page, readme)
    return root


def test_a_clean_clone_makes_the_same_pages_of_what_is_committed(clone, tmp_path):
    for name in ("docs/evidence", "workflow"):
        shutil.copytree(clone / name, tmp_path / name)
    (tmp_path / "README.md").write_text(README)
    write_results(*paths(tmp_path))
    assert made(tmp_path) == made(clone)


def test_the_page_says_what_is_claimed_what_was_run_and_what_was_not(clone):
    text = (clone / "docs/results.md").read_text()
    order = ["## Claims", "### Verdicts in short", "### S1: ", "## Tables and figures", "## Budget and hardware"]
    assert sorted(order, key=text.index) == order
    for claim in claims():
        assert f"| {claim.id} " in text
    assert f"Of {sum(one.document != 'ours' for one in claims())} claims of the documents: " in text
    assert "Not run yet: `evidence-more`." in text
    assert "- Git revision: abc123" in text and "- Hardware: Model 9000, 1 thread a job" in text
    assert "SYNTHETIC speech" in text and "bench" not in text


def test_the_readme_quotes_the_default_study(clone):
    text = (clone / "README.md").read_text()
    assert text.startswith("# A project\n") and text.endswith("More.\n") and "old numbers" not in text
    greedy, spelled = (line for line in text.splitlines() if "| greedy " in line and "all languages" in line)
    assert text.index("Word error rate (%), ") < text.index(greedy) < text.index("Character error rate (%), ")
    assert text.index("Character error rate (%), ") < text.rindex(spelled)
    # English: errors of seeds 0 and 1 are 1 + 2 + seed + 1 of 10 words; French one more.
    assert "45.0 ± 7.1" in greedy and "55.0 ± 7.1" in greedy and "50.0 ± 7.1" in greedy
    assert "revision abc123" in text


def test_without_its_study_the_readme_says_so(tmp_path):
    evidence, studies, page, readme = paths(tmp_path)
    readme.write_text(README)
    write_results(evidence, studies, page, readme)
    assert "The default study: not run yet at this revision." in readme.read_text()
    assert "No study that has them: not run yet." in page.read_text()
    assert "| S3-dynamic " in page.read_text()


def test_what_is_kept_is_small_and_names_no_file_and_no_machine(clone, finished):
    folder = clone / "docs/evidence/default"
    for name in kept.names():
        mine, whole = read_tsv(folder / f"{name}.tsv"), read_tsv(finished / "tables" / f"{name}.tsv")
        assert [row | {column: "" for column in kept.LEFT_OUT if column in row} for row in whole] == [
            row | {column: "" for column in kept.LEFT_OUT if column in whole[0]} for row in mine
        ]
        assert not {"source", "host"} & set((folder / f"{name}.tsv").read_text().splitlines()[0].split("\t"))
    assert "bench" not in (folder / kept.FACTS).read_text()
    # Models: 2 seeds, one of all languages and two of one; their trainings alone take 120 s and 121 s.
    assert read_json(folder / kept.FACTS)["hours"] > 3 * 241 / 3600


def test_an_unfinished_study_is_not_kept(copy, tmp_path):
    (copy / "report/index.html").unlink()
    with pytest.raises(SecateurError, match="so the study is not finished; finish it first: make results STUDY=tiny"):
        kept.keep(copy, tmp_path / "evidence")
    assert not (tmp_path / "evidence").exists()


def test_a_table_that_is_not_kept_is_named(clone, tmp_path):
    shutil.copytree(clone / "docs/evidence", tmp_path / "evidence")
    (tmp_path / "evidence/default/wer.tsv").unlink()
    with pytest.raises(SecateurError, match=r"wer\.tsv: not kept of this study.*secateur evidence default"):
        kept.read(tmp_path / "evidence")


def test_a_readme_without_its_lines_is_an_error(tmp_path):
    for text in ("# A project\n", f"{BEGIN}\n", f"{END}\n{BEGIN}\n"):
        with pytest.raises(SecateurError, match=r"README\.md: expected the lines <!-- written by make docs -->"):
            quoting(text, "numbers", tmp_path / "README.md")


def study(name: str, **verdicts: str) -> Kept:
    """A study with verdicts on claims; underscores stand for hyphens."""
    blank = dict.fromkeys(COLUMNS, "")
    rows = [
        blank | {"id": one.replace("_", "-"), "verdict": verdict, "why": "reasons", "unit": "%"}
        for one, verdict in verdicts.items()
    ]
    return Kept(name, {}, {"claims": rows})


def test_each_verdict_keeps_its_study_and_a_claim_that_none_tested_says_why():
    first = study("evidence-a", S3_dynamic="supported", S3_lth_imp="not tested", S2_rtf="not tested")
    second = study("default", S3_dynamic="undecided", S3_lth_imp="not tested", S2_rtf="not supported")
    by_claim: dict[str, list] = {}
    for row in merged([first, second]):
        by_claim.setdefault(row["id"], []).append(row)
    assert list(by_claim) == [claim.id for claim in claims()]
    assert [(row["study"], row["verdict"]) for row in by_claim["S3-dynamic"]] == [
        ("evidence-a", "supported"),
        ("default", "undecided"),
    ]
    assert [(row["study"], row["verdict"]) for row in by_claim["S2-rtf"]] == [("default", "not supported")]
    assert [row["why"] for row in by_claim["S3-lth-imp"]] == ["evidence-a: reasons; default: reasons"]
    assert by_claim["S3-lap-worst"][0]["why"].startswith("no study was run that has `lap` and another method")
    told = standings(merged([first, second]))
    assert told.startswith(
        f"Of {sum(claim.document != 'ours' for claim in claims())} claims of the documents: 1 supported"
    )


def test_a_claim_found_both_ways_is_not_counted_for_one_side():
    rows = [{"verdict": verdict} for verdict in ("undecided", "supported", "not supported")]
    assert standing(rows) == "supported and not supported"
    assert standing(rows[:2]) == "supported" and standing(rows[:1]) == "undecided"


def test_a_claim_that_is_not_known_any_more_is_named():
    with pytest.raises(SecateurError, match=r"old/claims\.tsv: the claim S9-gone is not known any more"):
        merged([study("old", S9_gone="supported")])
