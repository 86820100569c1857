# Layer pruning on demand: which layers to remove, all depths decoded from one checkpoint, and late regularisers.
DEPTHS_TAIL = f"{MODEL_TAIL}/depths/{{split}}/{{language}}/{{search}}"
DEPTHS = f"{ROOT}/{DEPTHS_TAIL}"
SIMILARITY_TAIL = "similarity/{corpus}/{rate}/seed{seed}"


rule layer_similarity:
    input:
        layer_search_inputs,
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
        arguments=layer_similarity_arguments,
    shell:
        "exec python -m secateur similarity {params.arguments} --output {output.similarity} &> {log}"


rule layer_search:
    input:
        layer_search_inputs,
        layer_similarity_files,
    output:
        f"{MODEL}/layers/{{strategy}}.json",
    log:
        f"{LOGS}/{MODEL_TAIL}/layers/{{strategy}}.log",
    wildcard_constraints:
        strategy="greedy|svcca|truncate|random|every-other",
    conda:
        "../../envs/train.yaml"
    resources:
        gpu=GPU,
    params:
        arguments=layer_search_arguments,
    shell:
        "exec python -m secateur layer-search {params.arguments} --output {output} &> {log}"


rule depth_rtf:
    input:
        depth_rtf_inputs,
    output:
        f"{MODEL}/layers/rtf.tsv",
    log:
        f"{LOGS}/{MODEL_TAIL}/layers/rtf.log",
    conda:
        "../../envs/decode.yaml"
    resources:
        gpu=GPU,
    params:
        arguments=depth_rtf_arguments,
    shell:
        "exec python -m secateur depth-rtf {params.arguments} --output {output} &> {log}"


use rule decode as decode_depths with:
    input:
        unpack(depths_inputs),
    output:
        hypotheses=f"{DEPTHS}/hypotheses.tsv",
        latency=f"{DEPTHS}/latency.json",
        run=f"{DEPTHS}/run.json",
    log:
        f"{LOGS}/{DEPTHS_TAIL}.log",
    benchmark:
        f"{BENCHMARKS}/{DEPTHS_TAIL}.tsv"
    params:
        arguments=depths_arguments,


use rule score as score_depths with:
    input:
        f"{DEPTHS}/hypotheses.tsv",
    output:
        score=f"{DEPTHS}/score.json",
        utterances=f"{DEPTHS}/utterances.tsv",
        alignment=f"{DEPTHS}/alignment.txt",
    log:
        f"{LOGS}/{DEPTHS_TAIL}.score.log",


rule similarity:
    input:
        compared_inputs,
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
        arguments=compared_arguments,
    shell:
        "exec python -m secateur similarity {params.arguments} --output {output.similarity} &> {log}"


rule regularise:
    input:
        parent_files,
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
    priority: urgency
    conda:
        "../../envs/train.yaml"
    threads: processes
    resources:
        **TRAINING,
    params:
        arguments=regularise_arguments,
    shell:
        "exec python -m secateur finetune {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"
