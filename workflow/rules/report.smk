# From scores to tables, figures and the page.
from secateur.overview import commands as overview
from secateur.overview.study import lexicon_files
from secateur.reporting import figure as figure_specs
from secateur.reporting import registry
from secateur.reporting import table as table_specs

TABLE_FILES = [f"{ROOT}/tables/{name}" for table in table_specs.tables() for name in table.outputs]
FIGURE_FILES = [f"{ROOT}/figures/{figure.file}" for figure in figure_specs.figures()]
SIZES, MASKS = overview.sizes(PATHS), commands.compared_masks(PATHS)
# The captions of Snakemake's own report.
CAPTIONS = Path(".snakemake/captions").resolve()
if workflow.is_main_process:
    registry.write_captions(CAPTIONS)


rule sizes:
    input:
        SIZES.inputs,
    output:
        sizes=f"{ROOT}/sizes.json",
        lexicons=PATHS.of(*lexicon_files(config)),
    log:
        f"{LOGS}/sizes.log",
    conda:
        "../../envs/train.yaml"
    params:
        arguments=SIZES.arguments,
    shell:
        "exec python -m secateur sizes {params.arguments} --output {output.sizes} &> {log}"


rule masks:
    input:
        MASKS.inputs,
    output:
        f"{ROOT}/masks.json",
    log:
        f"{LOGS}/masks.log",
    conda:
        "../../envs/train.yaml"
    params:
        arguments=MASKS.arguments,
    shell:
        "exec python -m secateur masks {params.arguments} --output {output} &> {log}"


rule tables:
    input:
        lambda wildcards: [f"{ROOT}/{file}" for file in table_specs.measured(config)],
    output:
        [
            report(
                f"{ROOT}/tables/{name}",
                category="Tables",
                caption=str(registry.caption_file(CAPTIONS, "TABLES", table.name)),
            )
            for table in table_specs.tables()
            for name in table.outputs
        ],
    log:
        f"{LOGS}/tables.log",
    conda:
        "../../envs/report.yaml"
    params:
        arguments=overview.tables(PATHS).arguments,
        functions=table_specs.functions(),
    shell:
        "exec python -m secateur tables {params.arguments} &> {log}"


rule figures:
    input:
        TABLE_FILES,
    output:
        [
            report(
                f"{ROOT}/figures/{figure.file}",
                category="Figures",
                caption=str(registry.caption_file(CAPTIONS, "FIGURES", figure.name)),
            )
            for figure in figure_specs.figures()
        ],
    log:
        f"{LOGS}/figures.log",
    conda:
        "../../envs/report.yaml"
    params:
        arguments=overview.figures(PATHS).arguments,
        functions=figure_specs.functions(),
    shell:
        "exec python -m secateur figures {params.arguments} &> {log}"


rule report:
    input:
        TABLE_FILES,
        FIGURE_FILES,
    output:
        report(REPORT, category="Report", caption="../report/report.rst"),
    log:
        f"{LOGS}/report.log",
    conda:
        "../../envs/report.yaml"
    params:
        arguments=overview.page(PATHS).arguments,
    shell:
        "exec python -m secateur report {params.arguments} --output {output} &> {log}"
