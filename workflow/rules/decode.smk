# Decoding of every model with every search, and the scores.


def decoding_inputs(wildcards):
    search = config["searches"][wildcards.search]
    model = MODEL.format(**wildcards)
    inputs = {
        "model": [f"{model}/model.safetensors", f"{model}/model.json"],
        "features": feature_files(wildcards.corpus, wildcards.language, wildcards.split),
        "data": data_files(wildcards.corpus, wildcards.language, wildcards.split),
    }
    if search.get("lm"):
        folder = f"{ROOT}/{study.lm_folder(wildcards.corpus, search['lm'], wildcards.seed)}"
        inputs["lm"] = [f"{folder}/model.safetensors", f"{folder}/model.json"]
    if search["type"] == "lexicon":
        inputs["text"] = training_text(wildcards.corpus)
    return inputs


def decoding_arguments(wildcards):
    search = config["searches"][wildcards.search]
    modules, options = [model_module(wildcards.model)], {}
    if search.get("lm"):
        modules.append(lm_module(search["lm"]))
        options["lm"] = f"{ROOT}/{study.lm_folder(wildcards.corpus, search['lm'], wildcards.seed)}"
    if search["type"] == "lexicon":
        options["train_text"] = training_text(wildcards.corpus)
    tail = f"{wildcards.corpus}/{wildcards.language}/{wildcards.split}"
    return command(
        "decode",
        modules,
        model=MODEL.format(**wildcards),
        search=search,
        data=f"{ROOT}/data/{tail}",
        features=f"{ROOT}/features/{tail}",
        device=config["device"],
        **options,
    )


rule decode:
    input:
        unpack(decoding_inputs),
    output:
        hypotheses=f"{DECODING}/hypotheses.tsv",
        latency=f"{DECODING}/latency.json",
        run=f"{DECODING}/run.json",
    params:
        arguments=decoding_arguments,
    log:
        f"{LOGS}/{DECODING_TAIL}.log",
    benchmark:
        f"{BENCHMARKS}/{DECODING_TAIL}.tsv"
    resources:
        gpu=GPU,
    shell:
        "python workflow/scripts/decode.py {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"


rule score:
    input:
        f"{DECODING}/hypotheses.tsv",
    output:
        score=f"{DECODING}/score.json",
        utterances=f"{DECODING}/utterances.tsv",
        alignment=f"{DECODING}/alignment.txt",
    params:
        arguments=lambda wildcards: command("score"),
    log:
        f"{LOGS}/{DECODING_TAIL}.score.log",
    shell:
        "python workflow/scripts/score.py {params.arguments} --hypotheses {input} --output $(dirname {output.score})"
        " &> {log}"
