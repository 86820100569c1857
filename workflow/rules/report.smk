# From scores to tables, figures and the page.
from secateur.reporting.figures import FIGURES
from secateur.reporting.tables import TABLES

TABLE_FILES = [f"{ROOT}/tables/{name}" for table in TABLES for name in table.files]
FIGURE_FILES = [f"{ROOT}/figures/{figure.name}.svg" for figure in FIGURES]


def language_models_used():
    """(corpus, language model, seed) of everything that the study's searches need."""
    return sorted(
        {
            (decoding.run.corpus, config["searches"][decoding.search]["lm"], decoding.run.seed)
            for decoding in study.decodings(config)
            if config["searches"][decoding.search].get("lm")
        }
    )


def measurements(wildcards):
    """Every file that the tables read."""
    files = [validation(corpus) for corpus in used_corpora()]
    for corpus in used_corpora():
        for language in config["corpora"][corpus]["languages"]:
            folder = f"{ROOT}/data/{corpus}/{language}"
            files += [f"{folder}/source.json", f"{folder}/dropped.tsv", f"{folder}/run.json"]
    for run in study.model_runs(config):
        files += [f"{ROOT}/{run.folder}/{name}" for name in ("size.json", "history.tsv", "run.json")]
    for decoding in study.decodings(config):
        folder = f"{ROOT}/{decoding.folder}"
        files += [f"{folder}/{name}" for name in ("score.json", "utterances.tsv", "latency.json", "run.json")]
    for corpus, lm, seed in language_models_used():
        folder = f"{ROOT}/{study.lm_folder(corpus, lm, seed)}"
        files += [f"{folder}/history.tsv", f"{folder}/run.json"]
    return files


rule tables:
    input:
        measurements,
    output:
        [
            report(f"{ROOT}/tables/{name}", category="Tables", caption=f"../report/tables/{table.name}.rst")
            for table in TABLES
            for name in table.files
        ],
    params:
        arguments=command("tables", study={key: value for key, value in config.items() if key != "report"}, root=ROOT),
    log:
        f"{LOGS}/tables.log",
    shell:
        "python workflow/scripts/tables.py {params.arguments} &> {log}"


rule figures:
    input:
        TABLE_FILES,
    output:
        [
            report(file, category="Figures", caption=f"../report/figures/{figure.name}.rst")
            for figure, file in zip(FIGURES, FIGURE_FILES, strict=True)
        ],
    params:
        arguments=command("figures", tables=f"{ROOT}/tables", output=f"{ROOT}/figures"),
    log:
        f"{LOGS}/figures.log",
    shell:
        "python workflow/scripts/figures.py {params.arguments} &> {log}"


rule report:
    input:
        TABLE_FILES,
        FIGURE_FILES,
    output:
        report(REPORT, category="Report", caption="../report/report.rst"),
    params:
        arguments=command("report", config=config, root=ROOT),
    log:
        f"{LOGS}/report.log",
    shell:
        "python workflow/scripts/report.py {params.arguments} --output {output} &> {log}"
