# Dense acoustic models and neural language models.


rule train:
    input:
        files(commands.train),
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
    priority: RESOURCES.urgency
    conda:
        "../../envs/train.yaml"
    threads: RESOURCES.processes
    resources:
        **RESOURCES.training,
    params:
        arguments=words(commands.train),
    shell:
        "exec python -m secateur train {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"


# The same out of folders that the study brings along; nothing where it brings none.
rule import_model:
    input:
        files(commands.import_model),
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
    wildcard_constraints:
        model=one_of(name for name, entry in config["models"].items() if "own" in entry),
    priority: RESOURCES.urgency
    conda:
        "../../envs/train.yaml"
    threads: RESOURCES.processes
    resources:
        **RESOURCES.training,
    params:
        arguments=words(commands.import_model),
    shell:
        "exec python -m secateur import-model {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"


rule import_lm:
    input:
        files(commands.import_lm),
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
    wildcard_constraints:
        lm=one_of(name for name, entry in config["language_models"].items() if "own" in entry),
    priority: RESOURCES.urgency
    conda:
        "../../envs/train.yaml"
    threads: RESOURCES.processes
    resources:
        **RESOURCES.training,
    params:
        arguments=words(commands.import_lm),
    shell:
        "exec python -m secateur import-lm {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"


# A language model without some of another one's layers, heads or weights.
rule prune_lm:
    input:
        files(commands.prune_lm),
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
    wildcard_constraints:
        lm=one_of(name for name, entry in config["language_models"].items() if "pruned" in entry),
    priority: RESOURCES.urgency
    conda:
        "../../envs/train.yaml"
    threads: RESOURCES.processes
    resources:
        **RESOURCES.training,
    params:
        arguments=words(commands.prune_lm),
    shell:
        "exec python -m secateur prune-lm {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"


ruleorder: import_model > train
ruleorder: import_lm > train_lm
ruleorder: prune_lm > train_lm


rule train_lm:
    input:
        files(commands.train_lm),
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
    priority: RESOURCES.urgency
    conda:
        "../../envs/train.yaml"
    threads: RESOURCES.processes
    resources:
        **RESOURCES.training,
    params:
        arguments=words(commands.train_lm),
    shell:
        "exec python -m secateur train-lm {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"
