# Exported models: ONNX files, decoded by ONNX Runtime.
from secateur.exported import commands as exported_commands

ONNX_TAIL = f"{MODEL_TAIL}/onnx/{{search}}"
ONNX = f"{ROOT}/{ONNX_TAIL}"


rule decode_onnx:
    input:
        files(exported_commands.decode),
    output:
        hypotheses=f"{ONNX}/hypotheses.tsv",
        score=f"{ONNX}/score.json",
        utterances=f"{ONNX}/utterances.tsv",
        alignment=f"{ONNX}/alignment.txt",
        run=f"{ONNX}/run.json",
        onnx=f"{ONNX}/onnx.json",
        files=directory(f"{ONNX}/files"),
    log:
        f"{LOGS}/{ONNX_TAIL}.log",
    benchmark:
        f"{BENCHMARKS}/{ONNX_TAIL}.tsv"
    priority: RESOURCES.first_seen
    conda:
        "../../envs/decode.yaml"
    resources:
        gpu=GPU,
    params:
        arguments=words(exported_commands.decode),
    shell:
        "exec python -m secateur decode-onnx {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"
