# Early exit: thresholds chosen on dev data, and models decoded at all of them.
from secateur.exits import commands as exits_commands

EXITS_TAIL = f"{MODEL_TAIL}/exits/{{search}}"
EXITS = f"{ROOT}/{EXITS_TAIL}"


rule decode_exits:
    input:
        files(exits_commands.decode),
    output:
        hypotheses=f"{EXITS}/hypotheses.tsv",
        score=f"{EXITS}/score.json",
        utterances=f"{EXITS}/utterances.tsv",
        alignment=f"{EXITS}/alignment.txt",
        run=f"{EXITS}/run.json",
        exits=f"{EXITS}/exits.json",
    log:
        f"{LOGS}/{EXITS_TAIL}.log",
    benchmark:
        f"{BENCHMARKS}/{EXITS_TAIL}.tsv"
    priority: RESOURCES.first_seen
    conda:
        "../../envs/decode.yaml"
    resources:
        gpu=GPU,
    params:
        arguments=words(exits_commands.decode),
    shell:
        "exec python -m secateur decode-exits {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"
