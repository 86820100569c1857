# From scores to tables, figures and the page.
SIZES = commands.sizes(PATHS, list(heads.checkpoints(config)))
MASKS = commands.compared_masks(PATHS)


rule sizes:
    input:
        SIZES.inputs,
    output:
        f"{ROOT}/sizes.json",
    log:
        f"{LOGS}/sizes.log",
    conda:
        "../../envs/train.yaml"
    params:
        arguments=SIZES.arguments,
    shell:
        "exec python -m secateur sizes {params.arguments} --output {output} &> {log}"


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
        measurements,
    output:
        [
            report(f"{ROOT}/tables/{name}", category="Tables", caption=f"../report/tables/{table.name}.rst")
            for table in TABLES
            for name in table.files
        ],
    log:
        f"{LOGS}/tables.log",
    conda:
        "../../envs/report.yaml"
    params:
        arguments=Command("tables", {"study": STUDY, "root": ROOT}, modules=pruning_methods.shown_modules()).arguments,
    shell:
        "exec python -m secateur tables {params.arguments} &> {log}"


rule figures:
    input:
        TABLE_FILES,
    output:
        [
            report(file, category="Figures", caption=f"../report/figures/{figure.name}.rst")
            for figure, file in zip(FIGURES, FIGURE_FILES, strict=True)
        ],
    log:
        f"{LOGS}/figures.log",
    conda:
        "../../envs/report.yaml"
    params:
        arguments=Command(
            "figures",
            {"tables": f"{ROOT}/tables", "output": f"{ROOT}/figures"},
            modules=pruning_methods.shown_modules(),
        ).arguments,
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
        arguments=Command("report", {"config": config, "root": ROOT}).arguments,
    shell:
        "exec python -m secateur report {params.arguments} --output {output} &> {log}"
