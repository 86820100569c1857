# From a corpus to features and tokens: fetch → prepare (→ condition) → features; prepare → tokens → validate.
from types import SimpleNamespace

from secateur.overview.resources import FIRST

SPELLED = own.spelled(config)


rule fetch:
    input:
        files(commands.fetch),
    output:
        "data/{corpus}/{language}/fetched.json",
    log:
        f"{LOGS}/fetch/{{corpus}}/{{language}}.log",
    priority: FIRST
    localrule: True  # a cluster's nodes reach no network
    conda:
        "../../envs/train.yaml"
    params:
        arguments=words(commands.fetch),
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
            [file for split in PATHS.splits(corpus) for file in PATHS.data(corpus, "{language}", split)],
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
            arguments=lambda wildcards, corpus=corpus: commands.prepare(
                PATHS, SimpleNamespace(corpus=corpus, language=wildcards.language)
            ).arguments,
        shell:
            "exec python -m secateur prepare-corpus {params.arguments} --run-json {output.run} &> {log}"


rule condition:
    input:
        files(commands.condition),
    output:
        PATHS.data("{corpus}", "{language}", "{split}"),
        recording=f"{ROOT}/data/{{corpus}}/{{language}}/{{split}}/recording.flac",
        run=f"{ROOT}/data/{{corpus}}/{{language}}/{{split}}/run.json",
    log:
        f"{LOGS}/condition/{{corpus}}/{{language}}/{{split}}.log",
    wildcard_constraints:
        split=one_of(config["conditions"]),
    priority: FIRST
    conda:
        "../../envs/train.yaml"
    params:
        arguments=words(commands.condition),
    shell:
        "exec python -m secateur make-condition {params.arguments} --run-json {output.run} &> {log}"


rule tokens:
    input:
        files(commands.tokens),
    output:
        tokens=PATHS.tokens("{corpus}")[0],
        pieces=PATHS.tokens("{corpus}")[1:],
    log:
        f"{LOGS}/tokens/{{corpus}}.log",
    wildcard_constraints:
        corpus=one_of(set(config["corpora"]) - {name for names in SPELLED.values() for name in names}),
    priority: FIRST
    conda:
        "../../envs/train.yaml"
    params:
        arguments=words(commands.tokens),
    shell:
        "exec python -m secateur tokens {params.arguments} --output {output.tokens}" " &> {log}"


# The token lists of models from folders: which file spells text in them differs from corpus to corpus.
if "" in SPELLED:

    use rule tokens as tokens_of_characters with:
        output:
            tokens=f"{ROOT}/tokens/{{corpus}}/tokens.txt",
            pieces=[],
        wildcard_constraints:
            corpus=one_of(SPELLED[""]),


if "bpe.model" in SPELLED:

    use rule tokens as tokens_of_pieces with:
        output:
            tokens=f"{ROOT}/tokens/{{corpus}}/tokens.txt",
            pieces=f"{ROOT}/tokens/{{corpus}}/bpe.model",
        wildcard_constraints:
            corpus=one_of(SPELLED["bpe.model"]),


if "tokenizer.json" in SPELLED:

    use rule tokens as tokens_of_whisper with:
        output:
            tokens=f"{ROOT}/tokens/{{corpus}}/tokens.txt",
            pieces=f"{ROOT}/tokens/{{corpus}}/tokenizer.json",
        wildcard_constraints:
            corpus=one_of(SPELLED["tokenizer.json"]),


rule validate:
    input:
        files(commands.validate),
    output:
        f"{ROOT}/validation/{{corpus}}.tsv",
    log:
        f"{LOGS}/validate/{{corpus}}.log",
    priority: FIRST
    conda:
        "../../envs/train.yaml"
    params:
        arguments=words(commands.validate),
    shell:
        "exec python -m secateur validate-corpus {params.arguments} --output {output} &> {log}"


rule features:
    input:
        files(commands.features),
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
    threads: RESOURCES.feature_threads
    params:
        arguments=words(commands.features),
    shell:
        "exec python -m secateur features {params.arguments} --run-json {output.run} &> {log}"
