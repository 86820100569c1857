# From scores to tables, figures and the page.
from secateur.decoding.search import SEARCHES
from secateur.overview.study import lexicon_files, lexicons, lm_runs
from secateur.reporting import claims, registry
from secateur.reporting import figure as figure_specs
from secateur.reporting import table as table_specs
from secateur.ssl.known_tasks import TASKS
from secateur.study.command import Command

TABLE_FILES = [f"{ROOT}/tables/{name}" for table in table_specs.tables() for name in table.outputs]
FIGURE_FILES = [f"{ROOT}/figures/{figure.file}" for figure in figure_specs.figures()]
SIZES = commands.sizes(
    PATHS,
    [*heads.checkpoints(config), *compose.bare_runs(config)],
    layers.orders(config),
    lm_runs(config),
    lexicons(config),
)
MASKS = commands.compared_masks(PATHS)

# What decides which rows the tables have.
STUDY = {key: value for key, value in config.items() if key not in ("report", "container", "modules")}
# Of each command the modules that it imports by name. Captions are printed on the page alone.
METHODS = pruning_methods.shown_modules()
OF_TABLES = (
    *table_specs.function_modules(),
    *claims.modules(),
    *METHODS,
    *SEARCHES.shown_modules(),
    *TASKS.shown_modules(),
    *POLICIES.shown_modules(),
)
OF_FIGURES = (*figure_specs.function_modules(), *METHODS, *STRATEGIES.shown_modules(), *POLICIES.shown_modules())
TABLES = Command("tables", {"study": STUDY, "root": ROOT}, modules=OF_TABLES)
FIGURES = Command("figures", {"tables": f"{ROOT}/tables", "output": f"{ROOT}/figures"}, modules=OF_FIGURES)
PAGE = Command("report", {"config": config, "root": ROOT}, modules=(*registry.modules(), *OF_TABLES))
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
        arguments=TABLES.arguments,
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
        arguments=FIGURES.arguments,
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
        arguments=PAGE.arguments,
    shell:
        "exec python -m secateur report {params.arguments} --output {output} &> {log}"
