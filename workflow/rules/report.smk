# From scores to tables, figures and the page.
rule sizes:
    input:
        [
            f"{ROOT}/{run.folder}/{name}"
            for run in (*study.model_runs(config), *heads.checkpoints(config))
            for name in ("model.safetensors", "model.json", *(["masks"] if run.mask_changes is not None else []))
        ],
    output:
        f"{ROOT}/sizes.json",
    log:
        f"{LOGS}/sizes.log",
    conda:
        "../../envs/train.yaml"
    params:
        arguments=command(
            "sizes",
            sorted({model_module(run.model) for run in study.model_runs(config)}),
            study=study.shape(config),
            root=ROOT,
        ),
    shell:
        "exec python -m secateur sizes {params.arguments} --output {output} &> {log}"


rule masks:
    input:
        [f"{ROOT}/{run.folder}/masks" for run in study.model_runs(config) if run.mask_changes is not None],
    output:
        f"{ROOT}/masks.json",
    log:
        f"{LOGS}/masks.log",
    conda:
        "../../envs/train.yaml"
    params:
        arguments=command("masks", study=study.shape(config), root=ROOT),
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
        arguments=command("tables", study=STUDY, root=ROOT),
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
        arguments=command("figures", tables=f"{ROOT}/tables", output=f"{ROOT}/figures"),
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
        arguments=command("report", config=config, root=ROOT),
    shell:
        "exec python -m secateur report {params.arguments} --output {output} &> {log}"
