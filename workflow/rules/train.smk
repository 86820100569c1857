# Dense acoustic models and neural language models.


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
    log:
        f"{LOGS}/models/{{corpus}}/{{model}}/{{scope}}/dense/s000/seed{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/models/{{corpus}}/{{model}}/{{scope}}/dense/s000/seed{{seed}}.tsv"
    priority: urgency
    conda:
        "../../envs/train.yaml"
    threads: processes
    resources:
        **TRAINING,
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
            tokens=tokens_files(wildcards.corpus)[0],
            seed=wildcards.seed,
            device=config["device"],
        ),
    shell:
        "exec python -m secateur train {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"


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
    log:
        f"{LOGS}/lm/{{corpus}}/{{lm}}/seed{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/lm/{{corpus}}/{{lm}}/seed{{seed}}.tsv"
    priority: lambda wildcards: recipe_of(wildcards)["steps"]
    conda:
        "../../envs/train.yaml"
    threads: processes
    resources:
        **TRAINING,
    params:
        arguments=lambda wildcards: command(
            "train_lm",
            [lm_module(wildcards.lm)],
            model=lm_config(wildcards.lm),
            training=config["training"][config["language_models"][wildcards.lm]["training"]],
            tokens=tokens_files(wildcards.corpus)[0],
            seed=wildcards.seed,
            device=config["device"],
            **lm_text_languages(wildcards),
        ),
    shell:
        "exec python -m secateur train-lm {params.arguments} --train {input.train}"
        " --dev {input.dev} --output $(dirname {output.run}) --run-json {output.run} &> {log}"
