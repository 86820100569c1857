# From a corpus to features and tokens: fetch → prepare → features; prepare → tokens → validate.


rule fetch:
    input:
        lambda wildcards: corpora.inputs(config["corpora"][wildcards.corpus], wildcards.language),
    output:
        "data/{corpus}/{language}/fetched.json",
    log:
        f"{LOGS}/fetch/{{corpus}}/{{language}}.log",
    priority: FIRST
    localrule: True  # a cluster's nodes reach no network
    conda:
        "../../envs/train.yaml"
    params:
        arguments=fetch_arguments,
    shell:
        "exec python -m secateur fetch-corpus {params.arguments} &> {log}"


# One rule per corpus, because the names of the splits are the recipe's.
for corpus in config["corpora"]:

    rule:
        name:
            f"prepare_{corpus.replace('-', '_')}"
        input:
            f"data/{corpus}/{{language}}/fetched.json",
        output:
            [file for split in splits(corpus) for file in data_files(corpus, "{language}", split)],
            f"{ROOT}/data/{corpus}/{{language}}/dropped.tsv",
            f"{ROOT}/data/{corpus}/{{language}}/source.json",
            run=f"{ROOT}/data/{corpus}/{{language}}/run.json",
        log:
            f"{LOGS}/prepare/{corpus}/{{language}}.log",
        benchmark:
            f"{BENCHMARKS}/prepare/{corpus}/{{language}}.tsv"
        priority: FIRST
        conda:
            "../../envs/train.yaml"
        params:
            arguments=lambda wildcards, corpus=corpus: prepare_arguments(corpus, wildcards.language),
        shell:
            "exec python -m secateur prepare-corpus {params.arguments} --run-json {output.run} &> {log}"


rule tokens:
    input:
        text=lambda wildcards: training_text(wildcards.corpus),
    output:
        tokens=tokens_files("{corpus}")[0],
        pieces=tokens_files("{corpus}")[1:],
    log:
        f"{LOGS}/tokens/{{corpus}}.log",
    priority: FIRST
    conda:
        "../../envs/train.yaml"
    params:
        arguments=lambda wildcards: command("tokens", type=config["tokens"]["type"], size=config["tokens"]["size"]),
    shell:
        "exec python -m secateur tokens {params.arguments} --text {input.text} --output {output.tokens}" " &> {log}"


rule validate:
    input:
        data=lambda wildcards: [
            file
            for language in config["corpora"][wildcards.corpus]["languages"]
            for split in splits(wildcards.corpus)
            for file in data_files(wildcards.corpus, language, split)
        ],
        tokens=rules.tokens.output,
    output:
        f"{ROOT}/validation/{{corpus}}.tsv",
    log:
        f"{LOGS}/validate/{{corpus}}.log",
    priority: FIRST
    conda:
        "../../envs/train.yaml"
    params:
        arguments=lambda wildcards: command(
            "validate_corpus",
            data=f"{ROOT}/data/{wildcards.corpus}",
            languages=config["corpora"][wildcards.corpus]["languages"],
            splits=splits(wildcards.corpus),
            input_layers=input_layers(wildcards.corpus),
            speeds=config["features"]["speeds"],
            tokens=tokens_files(wildcards.corpus)[0],
        ),
    shell:
        "exec python -m secateur validate-corpus {params.arguments} --output {output} &> {log}"


rule features:
    input:
        lambda wildcards: data_files(wildcards.corpus, wildcards.language, wildcards.split),
    output:
        multiext(
            f"{ROOT}/features/{{corpus}}/{{language}}/{{split}}/",
            ark="feats.ark",
            scp="feats.scp",
            frames="utt2num_frames",
            checksums="feats.crc32",
            cmvn="cmvn.json",
            run="run.json",
        ),
    log:
        f"{LOGS}/features/{{corpus}}/{{language}}/{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/features/{{corpus}}/{{language}}/{{split}}.tsv"
    priority: FIRST
    conda:
        "../../envs/train.yaml"
    threads: FEATURE_THREADS
    params:
        arguments=lambda wildcards: command(
            "features",
            data=f"{ROOT}/data/{wildcards.corpus}/{wildcards.language}/{wildcards.split}",
            mel_bins=config["features"]["mel_bins"],
            speeds=config["features"]["speeds"] if wildcards.split == "train" else [1.0],
            output=f"{ROOT}/features/{wildcards.corpus}/{wildcards.language}/{wildcards.split}",
        ),
    shell:
        "exec python -m secateur features {params.arguments} --run-json {output.run} &> {log}"
