# Pruned models: one job a level, and pathways over the masks of levels. Methods differ in the files that they leave.
from secateur.pruning import commands as pruning_commands


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
        method=pruning_methods.pattern(adapts=False),
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
        method=pruning_methods.pattern(adapts=True),


use rule prune as prune_control with:
    output:
        weights=f"{MODEL}/model.safetensors",
        model=f"{MODEL}/model.json",
        history=f"{MODEL}/history.tsv",
        run=f"{MODEL}/run.json",
    wildcard_constraints:
        method=pruning_methods.pattern(adapts=None),
