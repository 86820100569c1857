# Dense acoustic models and neural language models.


def feature_files(corpus, language, split):
    folder = f"{ROOT}/features/{corpus}/{language}/{split}"
    return [f"{folder}/{name}" for name in ("feats.ark", "feats.scp", "utt2num_frames", "cmvn.json")]


def training_inputs(wildcards):
    """Features, transcripts and tokens of a run's languages; the validation report, so that bad data stops it first."""
    corpus = wildcards.corpus
    files = [f"{ROOT}/tokens/{corpus}/tokens.txt", validation(corpus)]
    for language in study.languages(config, corpus, wildcards.scope):
        for split in ("train", "dev"):
            files += feature_files(corpus, language, split) + data_files(corpus, language, split)
    return files


def model_config(name):
    """What rebuilds the model `name`: its entry of the configuration, with the width of its input."""
    entry = {key: value for key, value in config["models"][name].items() if key != "training"}
    return entry | {"features": config["features"]["mel_bins"]}


def lm_config(name):
    """What rebuilds the language model `name`."""
    return {key: value for key, value in config["language_models"][name].items() if key not in ("training", "text")}


def model_module(name):
    return f"secateur.models.{config['models'][name]['type']}"


def lm_module(name):
    return f"secateur.models.{config['language_models'][name]['type']}"


def lm_text(wildcards):
    """What a language model is trained on: its own text file, or the training text of all languages of the corpus."""
    text = config["language_models"][wildcards.lm]["text"]
    return [text] if text else training_text(wildcards.corpus)


def dev_text(wildcards):
    return [f"{ROOT}/data/{wildcards.corpus}/{one}/dev/text" for one in config["corpora"][wildcards.corpus]["languages"]]


rule train:
    input:
        training_inputs,
    output:
        multiext(
            f"{ROOT}/models/{{corpus}}/{{model}}/{{scope}}/dense/s000/seed{{seed}}/",
            weights="model.safetensors",
            model="model.json",
            history="history.tsv",
            run="run.json",
        ),
    params:
        arguments=lambda wildcards: command(
            "train",
            [model_module(wildcards.model)],
            model=model_config(wildcards.model),
            training=config["training"][config["models"][wildcards.model]["training"]],
            data=f"{ROOT}/data/{wildcards.corpus}",
            features=f"{ROOT}/features/{wildcards.corpus}",
            speeds=config["features"]["speeds"],
            languages=study.languages(config, wildcards.corpus, wildcards.scope),
            tokens=f"{ROOT}/tokens/{wildcards.corpus}/tokens.txt",
            seed=wildcards.seed,
            device=config["device"],
        ),
    log:
        f"{LOGS}/models/{{corpus}}/{{model}}/{{scope}}/dense/s000/seed{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/models/{{corpus}}/{{model}}/{{scope}}/dense/s000/seed{{seed}}.tsv"
    resources:
        gpu=GPU,
    shell:
        "python workflow/scripts/train.py {params.arguments} --output $(dirname {output.run}) --run-json {output.run}"
        " &> {log}"


rule train_lm:
    input:
        tokens=rules.tokens.output,
        train=lm_text,
        dev=dev_text,
    output:
        multiext(
            f"{ROOT}/lm/{{corpus}}/{{lm}}/seed{{seed}}/",
            weights="model.safetensors",
            model="model.json",
            history="history.tsv",
            run="run.json",
        ),
    params:
        arguments=lambda wildcards: command(
            "train_lm",
            [lm_module(wildcards.lm)],
            model=lm_config(wildcards.lm),
            training=config["training"][config["language_models"][wildcards.lm]["training"]],
            format="plain" if config["language_models"][wildcards.lm]["text"] else "kaldi",
            seed=wildcards.seed,
            device=config["device"],
        ),
    log:
        f"{LOGS}/lm/{{corpus}}/{{lm}}/seed{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/lm/{{corpus}}/{{lm}}/seed{{seed}}.tsv"
    resources:
        gpu=GPU,
    shell:
        "python workflow/scripts/train_lm.py {params.arguments} --tokens {input.tokens} --train {input.train}"
        " --dev {input.dev} --output $(dirname {output.run}) --run-json {output.run} &> {log}"


rule size:
    input:
        f"{MODEL}/model.safetensors",
        f"{MODEL}/model.json",
    output:
        f"{MODEL}/size.json",
    params:
        arguments=lambda wildcards: command("size", [model_module(wildcards.model)]),
    log:
        f"{LOGS}/{MODEL_TAIL}/size.log",
    shell:
        "python workflow/scripts/size.py {params.arguments} --model $(dirname {output}) --output {output} &> {log}"
