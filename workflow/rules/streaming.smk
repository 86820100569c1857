# Streaming: what transducers let their listeners wait for, before and after pruning.
from secateur.streaming import commands as streaming_commands

STREAMING_TAIL = "streaming/{corpus}/{model}"
STREAMING = f"{ROOT}/{STREAMING_TAIL}"


# All cores, as `timing`: times are those of a machine at rest.
rule stream_delays:
    input:
        files(streaming_commands.delays),
    output:
        systems=f"{STREAMING}/systems.tsv",
        utterances=f"{STREAMING}/utterances.tsv",
        run=f"{STREAMING}/run.json",
    log:
        f"{LOGS}/{STREAMING_TAIL}.log",
    conda:
        "../../envs/decode.yaml"
    threads: RESOURCES.all_cores
    params:
        arguments=words(streaming_commands.delays),
    shell:
        "OMP_NUM_THREADS=1 exec python -m secateur stream-delays {params.arguments}"
        " --output $(dirname {output.run}) --run-json {output.run} &> {log}"
