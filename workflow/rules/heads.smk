# Head pruning: how much heads matter, which of them go, what that does to errors and time; and what language models cost.
from secateur.heads import commands as heads_commands

HEADS_TAIL = f"{MODEL_TAIL}/heads/decode/{{search}}"
HEADS = f"{ROOT}/{HEADS_TAIL}"


rule head_importance:
    input:
        files(heads_commands.importance),
    output:
        importance=f"{MODEL}/heads/importance.tsv",
        stability=f"{MODEL}/heads/stability.json",
    log:
        f"{LOGS}/{MODEL_TAIL}/heads/importance.log",
    conda:
        "../../envs/train.yaml"
    resources:
        gpu=GPU,
    params:
        arguments=words(heads_commands.importance),
    shell:
        "exec python -m secateur head-importance {params.arguments} --output {output.importance}"
        " --stability {output.stability} &> {log}"


# All cores, as `timing`: times are those of a machine at rest.
rule head_times:
    input:
        files(heads_commands.times),
    output:
        f"{MODEL}/heads/times.json",
    log:
        f"{LOGS}/{MODEL_TAIL}/heads/times.log",
    conda:
        "../../envs/decode.yaml"
    threads: RESOURCES.all_cores
    resources:
        gpu=GPU,
    params:
        arguments=words(heads_commands.times),
    shell:
        "OMP_NUM_THREADS=1 exec python -m secateur head-times {params.arguments} --output {output} &> {log}"


rule head_removals:
    input:
        files(heads_commands.removals),
    output:
        f"{MODEL}/heads/removals.json",
    log:
        f"{LOGS}/{MODEL_TAIL}/heads/removals.log",
    conda:
        "../../envs/decode.yaml"
    params:
        arguments=words(heads_commands.removals),
    shell:
        "exec python -m secateur head-removals {params.arguments} --output {output} &> {log}"


use rule decode as decode_heads with:
    input:
        files(heads_commands.decode),
    output:
        hypotheses=f"{HEADS}/hypotheses.tsv",
        score=f"{HEADS}/score.json",
        utterances=f"{HEADS}/utterances.tsv",
        alignment=f"{HEADS}/alignment.txt",
        run=f"{HEADS}/run.json",
    log:
        f"{LOGS}/{HEADS_TAIL}.log",
    benchmark:
        f"{BENCHMARKS}/{HEADS_TAIL}.tsv"
    params:
        arguments=words(heads_commands.decode),


rule prune_heads:
    input:
        files(heads_commands.prune),
    output:
        weights=f"{MODEL}/model.safetensors",
        model=f"{MODEL}/model.json",
        removed=f"{MODEL}/removed.json",
        run=f"{MODEL}/run.json",
    log:
        f"{LOGS}/{MODEL_TAIL}.log",
    wildcard_constraints:
        method=rf"([a-z0-9-]+--)?heads-({one_of(POLICIES.names())})-\d+",
    conda:
        "../../envs/decode.yaml"
    params:
        arguments=words(heads_commands.prune),
    shell:
        "exec python -m secateur prune-heads {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"


rule export_depth:
    input:
        files(heads_commands.export_depth),
    output:
        weights=f"{MODEL}/model.safetensors",
        model=f"{MODEL}/model.json",
        run=f"{MODEL}/run.json",
    log:
        f"{LOGS}/{MODEL_TAIL}.log",
    wildcard_constraints:
        method=rf"([a-z0-9-]+--)?depth-({one_of(STRATEGIES.names())})-\d+",
    conda:
        "../../envs/decode.yaml"
    params:
        arguments=words(heads_commands.export_depth),
    shell:
        "exec python -m secateur export-depth {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"


use rule regularise as recover with:
    input:
        files(heads_commands.recover),
    wildcard_constraints:
        method="[a-z0-9-]+--recovered",
    params:
        arguments=words(heads_commands.recover),


rule tune_lms:
    input:
        files(heads_commands.tuning),
    output:
        f"{MODEL}/heads/tuning.json",
    log:
        f"{LOGS}/{MODEL_TAIL}/heads/tuning.log",
    priority: RESOURCES.first_seen
    conda:
        "../../envs/decode.yaml"
    resources:
        gpu=GPU,
    params:
        arguments=words(heads_commands.tuning),
    shell:
        "exec python -m secateur tune-lms {params.arguments} --output {output} &> {log}"


rule perplexity:
    input:
        files(heads_commands.perplexity),
    output:
        f"{ROOT}/{LM_TAIL}/perplexity.json",
    log:
        f"{LOGS}/{LM_TAIL}/perplexity.log",
    conda:
        "../../envs/decode.yaml"
    resources:
        gpu=GPU,
    params:
        arguments=words(heads_commands.perplexity),
    shell:
        "exec python -m secateur perplexity {params.arguments} --output {output} &> {log}"
