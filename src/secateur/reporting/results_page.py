"""`docs/results.md` and the README's numbers, written from what the repository keeps of finished studies (`kept`).

Claims with their verdicts come first, then the documents' tables and figures, then what each study took. The same
tables give the same page. Tables and figures are those of the report: what is here only puts several studies together.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from secateur.core.errors import SecateurError
from secateur.core.files import write_text
from secateur.reporting import kept, table
from secateur.reporting.claims import DOCUMENTS, Claim, claims
from secateur.reporting.drawing import write_figure
from secateur.reporting.figure import EMPTY
from secateur.reporting.grid import Cell, Grid, Row
from secateur.reporting.kept import Kept
from secateur.reporting.rates import rate
from secateur.reporting.registry import resolve
from secateur.reporting.render import markdown
from secateur.statistics.verdicts import NOT_SUPPORTED, NOT_TESTED, SUPPORTED, UNDECIDED

FIGURES = "figures"
"""Folder of the figures, beside the page."""
QUOTED = "default"
"""The study whose numbers the README quotes."""
BEGIN, END = "<!-- written by make docs -->", "<!-- end of what make docs writes -->"
BOTH = "supported and not supported"
STANDINGS = (SUPPORTED, NOT_SUPPORTED, BOTH, UNDECIDED, NOT_TESTED)
NOT_RUN = "not run yet"

HEAD = """# Results

What finished studies measured, against what the four documents claim. `make docs` writes this page from the tables
in [evidence](evidence/), which `secateur evidence STUDY` copies out of a finished study. It overwrites what is changed
by hand.
"""
ABOUT_CLAIMS = """A claim can be tested by several studies, and in one study on several models: each has its verdict.
Holm's correction is over the claims of each study. "To decide" says how many times as much (seeds, or utterances where
there is one seed) would decide at an effect as large as the measured one: so many times the study's hours.
"""
ABOUT_TABLES = """Every table and figure is of one study, named above it. Captions say on which corpus, with
which budget, on which processor and with how many seeds.
"""


def write_results(evidence: Path, studies: Path, page: Path, readme: Path) -> None:
    """Write the page, its figures beside it, and the part of the README between the lines `BEGIN` and `END`.

    Args:
        evidence: folder of what is kept.
        studies: folder of the configurations of studies; those called `evidence-…` are said to be not run where
            nothing is kept of them.

    Raises SecateurError if a table is missing, a claim is not known any more, or the README lacks the two lines.
    """
    found = kept.read(evidence)
    verdicts = merged(found)
    drawn = _draw(found, page.parent / FIGURES)
    parts = [
        HEAD,
        "## Claims\n",
        standings(verdicts),
        ABOUT_CLAIMS,
        *_claims(verdicts),
        "## Tables and figures of the documents\n",
        ABOUT_TABLES,
        *(part for document in kept.CONTENTS for part in _document(document, found, drawn)),
        "## Budget and hardware\n",
        *_budgets(found, planned(studies)),
    ]
    write_text(page, "\n".join(parts))
    write_text(readme, quoting(readme.read_text(encoding="utf-8"), quoted(found), readme))


def planned(studies: Path) -> list[str]:
    """The studies that are there for evidence, by the names of their files."""
    return sorted(file.stem for file in studies.glob("evidence-*.yaml"))


def merged(studies: Sequence[Kept]) -> list[Row]:
    """The verdicts of all studies, with a column `study`: of a claim that some tested, of these; else why none did.

    Raises SecateurError for a claim that is not known any more.
    """
    known = {claim.id: claim for claim in claims()}
    for study in studies:
        for row in study.tables["claims"]:
            if row["id"] not in known:
                raise SecateurError(
                    f"{study.name}/claims.tsv: the claim {row['id']} is not known any more; make the study's tables "
                    f"again and copy them: secateur evidence {study.name}"
                )
    return [row for claim in known.values() for row in _of_claim(claim, studies)]


def _of_claim(claim: Claim, studies: Sequence[Kept]) -> list[Row]:
    said = {key: getattr(claim, key) for key in ("id", "document", "statement", "published")}
    rows = [
        {**row, **said, "study": study.name}
        for study in studies
        for row in study.tables["claims"]
        if row["id"] == claim.id
    ]
    if tested := [row for row in rows if row["verdict"] != NOT_TESTED]:
        return tested
    why = "; ".join(f"{row['study']}: {row['why']}" for row in rows) or f"no study was run that has {claim.needs}"
    blank = dict.fromkeys(resolve(_table("claims").columns), "")
    return [{**blank, **said, "study": "", "verdict": NOT_TESTED, "why": why}]


def standing(rows: Sequence[Row]) -> str:
    """Where a claim stands after all rows about it: decided if any is, one way or `BOTH`."""
    verdicts = {row["verdict"] for row in rows}
    if {SUPPORTED, NOT_SUPPORTED} <= verdicts:
        return BOTH
    return next(verdict for verdict in STANDINGS if verdict in verdicts)


def standings(rows: Sequence[Row]) -> str:
    """How many claims of the documents, and of ours, stand how, in sentences."""
    lines = []
    for ours, whose in ((False, "of the documents"), (True, "of our own")):
        by_claim = _by_claim(row for row in rows if (row["document"] == "ours") == ours)
        counts = Counter(standing(members) for members in by_claim.values())
        told = ", ".join(f"{counts[one]} {one}" for one in STANDINGS if counts[one])
        lines.append(f"Of {len(by_claim)} claims {whose}: {told}.")
    return " ".join(lines) + "\n"


def _by_claim(rows: Iterable[Row]) -> Mapping[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["id"], []).append(row)
    return found


def _claims(rows: Sequence[Row]) -> Iterator[str]:
    """All claims in short, and then in full by document."""
    lines = []
    for members in _by_claim(rows).values():
        by_verdict: dict[str, dict[str, None]] = {}
        for row in members:
            by_verdict.setdefault(row["verdict"], {})[row["study"]] = None
        told = "; ".join(f"{verdict} ({', '.join(names)})".removesuffix(" ()") for verdict, names in by_verdict.items())
        lines.append([Cell(text=text) for text in (members[0]["id"], members[0]["statement"], told)])
    yield markdown([Grid("Verdicts in short", ["Claim", "Statement", "Verdict (study)"], 3, lines)])
    yield markdown(resolve(_table("claims").view)({"claims": rows}))


def _draw(studies: Sequence[Kept], folder: Path) -> Mapping[tuple[str, str], Path]:
    """Draw the figures of all studies, `folder/{study}/{figure}.svg`, and clear away what no study has any more.

    Returns by study and figure the file of those that show something.
    """
    drawn = {}
    for study in studies:
        for document in kept.CONTENTS:
            for figure in kept.shown_figures(document):
                file = folder / study.name / figure.file
                write_figure(figure, study.tables, file)
                if f"<dc:description>{EMPTY}<" not in file.read_text(encoding="utf-8"):
                    drawn[study.name, figure.name] = file
    for file in folder.glob("*/*.svg"):
        if file not in drawn.values():
            file.unlink()
    return drawn


def _document(document: str, studies: Sequence[Kept], drawn: Mapping[tuple[str, str], Path]) -> Iterator[str]:
    """The tables and figures of a document, study by study."""
    yield f"### {document}: {DOCUMENTS[document]}\n"
    nothing = True
    for study in studies:
        grids = [grid for one in kept.shown_tables(document) for grid in resolve(one.view)(study.tables)]
        shown = [figure for figure in kept.shown_figures(document) if (study.name, figure.name) in drawn]
        if not grids and not shown:
            continue
        nothing = False
        yield f"#### Study {study.name}\n"
        named = rate(study.tables)
        for figure in shown:
            title = named(figure.title)
            yield f"![{title}]({FIGURES}/{study.name}/{figure.file})\n"
            yield f"**{title}.** {named(figure.caption)}\n"
        if grids:
            yield markdown(grids, level=5)
    if nothing:
        yield f"No study that has them: {NOT_RUN}.\n"


def _budgets(studies: Sequence[Kept], wanted: Sequence[str]) -> Iterator[str]:
    """What every study took, and which are still to be run."""
    for study in studies:
        hours, processor = study.facts["hours"], study.facts["processor_hours"]
        yield f"### Study {study.name}\n"
        yield f"- Time of all trainings and decodings together: {hours:g} hours, {processor:g} of a processor core"
        yield "\n".join(f"- {name}: {text}" for name, text in study.facts["about"].items()) + "\n"
    missing = [name for name in wanted if name not in {study.name for study in studies}]
    if missing:
        yield f"{NOT_RUN.capitalize()}: {', '.join(f'`{name}`' for name in missing)}.\n"


def quoted(studies: Sequence[Kept]) -> str:
    """What the README says of the study that it quotes: the dense models, table 1, and how the claims stand."""
    study = next((study for study in studies if study.name == QUOTED), None)
    if study is None:
        return f"The {QUOTED} study: {NOT_RUN} at this revision.\n"
    about = study.facts["about"]
    dense = {**study.tables, "wer": [row for row in study.tables["wer"] if row["method"] == "dense"]}
    counts = Counter(row["verdict"] for row in study.tables["claims"])
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in STANDINGS if counts[verdict])
    return "\n".join(
        (
            f"Measured by the {QUOTED} study at revision {about['Git revision']}, {about['Runs']}, on "
            f"{about['Hardware']}; seeds: {about['Seeds']}.\n",
            markdown(_words_and_characters(resolve(_table("wer").view)(dense)), level=4),
            markdown(resolve(_table("table1").view)(study.tables)[:1], level=4),
            f"Claims, as this study finds them: {told}. Heads, layers, encoders and the studies that are there to "
            "decide are in [docs/results.md](docs/results.md).\n",
        )
    )


def _words_and_characters(grids: Sequence[Grid]) -> Sequence[Grid]:
    """Of the error rates of several corpora, those of the first: in words and, where they are given, in characters."""
    return [grid for grid in grids[:2] if grid.title.partition(",")[2] == grids[0].title.partition(",")[2]]


def quoting(text: str, block: str, file: Path) -> str:
    """`text` with `block` between the lines `BEGIN` and `END`. Raises SecateurError naming the file that lacks them."""
    before, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SecateurError(
            f"{file}: expected the lines {BEGIN} and {END}, between which numbers are written; add them"
        )
    return f"{before}{BEGIN}\n\n{block}\n{END}{after}"


def _table(name: str) -> table.Table:
    return next(one for one in table.tables() if one.name == name)
