# Pruned models: one job a level, and pathways over the masks of levels.


rule prune:
    input:
        files(pruning_commands.prune),
    output:
        weights=f"{MODEL}/model.safetensors",
        model=f"{MODEL}/model.json",
        history=f"{MODEL}/history.tsv",
        masks=directory(f"{MODEL}/masks"),
        run=f"{MODEL}/run.json",
    log:
        f"{LOGS}/{MODEL_TAIL}.log",
    benchmark:
        f"{BENCHMARKS}/{MODEL_TAIL}.tsv"
    wildcard_constraints:
        method=r"(imp|lth|lap|one-shot|random|finetune|longer)(\+[a-z0-9-]+)?",
    priority: RESOURCES.urgency
    conda:
        "../../envs/train.yaml"
    threads: RESOURCES.processes
    resources:
        **RESOURCES.training,
    params:
        arguments=words(pruning_commands.prune),
    shell:
        "exec python -m secateur prune {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"


use rule prune as prune_adaptive with:
    output:
        weights=f"{MODEL}/model.safetensors",
        model=f"{MODEL}/model.json",
        history=f"{MODEL}/history.tsv",
        adaptations=f"{MODEL}/adaptations.tsv",
        masks=directory(f"{MODEL}/masks"),
        run=f"{MODEL}/run.json",
    wildcard_constraints:
        method=r"(imp|lth)-adaptive(\+[a-z0-9-]+)?",


rule pathways:
    input:
        files(pruning_commands.pathways),
    output:
        weights=f"{MODEL}/model.safetensors",
        model=f"{MODEL}/model.json",
        history=f"{MODEL}/history.tsv",
        masks=directory(f"{MODEL}/masks"),
        run=f"{MODEL}/run.json",
    log:
        f"{LOGS}/{MODEL_TAIL}.log",
    benchmark:
        f"{BENCHMARKS}/{MODEL_TAIL}.tsv"
    wildcard_constraints:
        method=r"pathways-(imp|lth|lap)-s[0-9]+(\+[a-z0-9-]+)?",
    priority: RESOURCES.urgency
    conda:
        "../../envs/train.yaml"
    threads: RESOURCES.processes
    resources:
        **RESOURCES.training,
    params:
        arguments=words(pruning_commands.pathways),
    shell:
        "exec python -m secateur pathways {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"


use rule pathways as dynamic_pathways with:
    output:
        weights=f"{MODEL}/model.safetensors",
        model=f"{MODEL}/model.json",
        history=f"{MODEL}/history.tsv",
        adaptations=f"{MODEL}/adaptations.tsv",
        masks=directory(f"{MODEL}/masks"),
        run=f"{MODEL}/run.json",
    wildcard_constraints:
        method=r"dynamic-(imp|lth|lap)-s[0-9]+(\+[a-z0-9-]+)?",
