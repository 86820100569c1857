# Decoding of every model with every search, in all its languages, and the error rates.


rule decode:
    input:
        files(commands.decode),
    output:
        hypotheses=f"{DECODING}/hypotheses.tsv",
        latency=f"{DECODING}/latency.json",
        score=f"{DECODING}/score.json",
        utterances=f"{DECODING}/utterances.tsv",
        alignment=f"{DECODING}/alignment.txt",
        run=f"{DECODING}/run.json",
    log:
        f"{LOGS}/{DECODING_TAIL}.log",
    benchmark:
        f"{BENCHMARKS}/{DECODING_TAIL}.tsv"
    priority: RESOURCES.first_seen
    conda:
        "../../envs/decode.yaml"
    resources:
        gpu=GPU,
    params:
        arguments=words(commands.decode),
    shell:
        "exec python -m secateur decode {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"
