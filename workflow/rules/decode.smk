# Decoding of every model with every search, and the scores.


rule decode:
    input:
        files(commands.decode),
    output:
        hypotheses=f"{DECODING}/hypotheses.tsv",
        latency=f"{DECODING}/latency.json",
        run=f"{DECODING}/run.json",
    log:
        f"{LOGS}/{DECODING_TAIL}.log",
    benchmark:
        f"{BENCHMARKS}/{DECODING_TAIL}.tsv"
    conda:
        "../../envs/decode.yaml"
    resources:
        gpu=GPU,
    params:
        arguments=words(commands.decode),
    shell:
        "exec python -m secateur decode {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"


rule score:
    input:
        f"{DECODING}/hypotheses.tsv",
    output:
        score=f"{DECODING}/score.json",
        utterances=f"{DECODING}/utterances.tsv",
        alignment=f"{DECODING}/alignment.txt",
    log:
        f"{LOGS}/{DECODING_TAIL}.score.log",
    conda:
        "../../envs/decode.yaml"
    params:
        arguments=Command("score", {}).arguments,
    shell:
        "exec python -m secateur score {params.arguments} --hypotheses {input}"
        " --output $(dirname {output.score}) &> {log}"
