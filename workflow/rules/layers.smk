# Layer pruning on demand: which layers to remove, all depths decoded from one checkpoint, and late regularisers.
from secateur.layers import commands as layers_commands

DEPTHS_TAIL = f"{MODEL_TAIL}/{{depths}}/{{search}}"
DEPTHS = f"{ROOT}/{DEPTHS_TAIL}"
SIMILARITY_TAIL = "similarity/{corpus}/{rate}/seed{seed}"


rule layer_similarity:
    input:
        files(layers_commands.similarity),
    output:
        similarity=f"{MODEL}/layers/similarity.tsv",
        curves=f"{MODEL}/layers/curves.json",
    log:
        f"{LOGS}/{MODEL_TAIL}/layers/similarity.log",
    conda:
        "../../envs/train.yaml"
    resources:
        gpu=GPU,
    params:
        arguments=words(layers_commands.similarity),
    shell:
        "exec python -m secateur similarity {params.arguments} --output {output.similarity} &> {log}"


rule layer_search:
    input:
        files(layers_commands.search),
    output:
        f"{MODEL}/layers/{{strategy}}.json",
    log:
        f"{LOGS}/{MODEL_TAIL}/layers/{{strategy}}.log",
    wildcard_constraints:
        strategy=f"(decoder-)?({one_of(STRATEGIES.names())})",
    conda:
        "../../envs/train.yaml"
    resources:
        gpu=GPU,
    params:
        arguments=words(layers_commands.search),
    shell:
        "exec python -m secateur layer-search {params.arguments} --output {output} &> {log}"


use rule decode as decode_depths with:
    input:
        files(layers_commands.decode_depths),
    output:
        hypotheses=f"{DEPTHS}/hypotheses.tsv",
        score=f"{DEPTHS}/score.json",
        utterances=f"{DEPTHS}/utterances.tsv",
        alignment=f"{DEPTHS}/alignment.txt",
        run=f"{DEPTHS}/run.json",
    log:
        f"{LOGS}/{DEPTHS_TAIL}.log",
    benchmark:
        f"{BENCHMARKS}/{DEPTHS_TAIL}.tsv"
    wildcard_constraints:
        depths="(decoder-)?depths",
    params:
        arguments=words(layers_commands.decode_depths),


rule similarity:
    input:
        files(layers_commands.compared),
    output:
        similarity=f"{ROOT}/{SIMILARITY_TAIL}/similarity.tsv",
        curves=f"{ROOT}/{SIMILARITY_TAIL}/curves.json",
    log:
        f"{LOGS}/{SIMILARITY_TAIL}.log",
    conda:
        "../../envs/train.yaml"
    resources:
        gpu=GPU,
    params:
        arguments=words(layers_commands.compared),
    shell:
        "exec python -m secateur similarity {params.arguments} --output {output.similarity} &> {log}"


rule regularise:
    input:
        files(layers_commands.regularise),
    output:
        weights=f"{MODEL}/model.safetensors",
        model=f"{MODEL}/model.json",
        history=f"{MODEL}/history.tsv",
        run=f"{MODEL}/run.json",
    log:
        f"{LOGS}/{MODEL_TAIL}.log",
    benchmark:
        f"{BENCHMARKS}/{MODEL_TAIL}.tsv"
    wildcard_constraints:
        method="late-[a-z0-9-]+",
    priority: RESOURCES.urgency
    conda:
        "../../envs/train.yaml"
    threads: RESOURCES.processes
    resources:
        **RESOURCES.training,
    params:
        arguments=words(layers_commands.regularise),
    shell:
        "exec python -m secateur finetune {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"
