# Decoding of every model with every search, in all its languages, the error rates, and the time of all systems.
DECODING_TAIL = f"{MODEL_TAIL}/decode/{{search}}"
DECODING = f"{ROOT}/{DECODING_TAIL}"
TIMING_TAIL = "timing/{corpus}/{model}"
TIMING = f"{ROOT}/{TIMING_TAIL}"


rule decode:
    input:
        files(commands.decode),
    output:
        hypotheses=f"{DECODING}/hypotheses.tsv",
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


# All cores, so that nothing runs beside it, but one thread of computation: times are those of a machine at rest.
rule timing:
    input:
        files(commands.timing),
    output:
        systems=f"{TIMING}/timing.tsv",
        utterances=f"{TIMING}/utterances.tsv",
        run=f"{TIMING}/run.json",
    log:
        f"{LOGS}/{TIMING_TAIL}.log",
    conda:
        "../../envs/decode.yaml"
    threads: RESOURCES.all_cores
    resources:
        gpu=GPU,
    params:
        arguments=words(commands.timing),
    shell:
        "OMP_NUM_THREADS=1 exec python -m secateur timing {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"
