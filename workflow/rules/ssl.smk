# Self-supervised encoders (S4): a teacher's pretraining, students distilled from it, and the tasks that all are scored on.
from secateur.ssl import commands as ssl_commands
from secateur.ssl import study as upstreams

SSL = f"{ROOT}/upstreams/{{upstream}}"
SSL_LOGS = f"{LOGS}/upstreams/{{upstream}}"
SSL_BENCHMARKS = f"{BENCHMARKS}/upstreams/{{upstream}}"


rule ssl_targets:
    input:
        files(ssl_commands.targets),
    output:
        multiext(
            f"{SSL}/targets{{number}}/seed{{seed}}/",
            ark="targets.ark",
            scp="targets.scp",
            crc32="targets.crc32",
            clusters="clusters.json",
            centres="centres.safetensors",
            run="run.json",
        ),
    log:
        f"{SSL_LOGS}/targets{{number}}/seed{{seed}}.log",
    benchmark:
        f"{SSL_BENCHMARKS}/targets{{number}}/seed{{seed}}.tsv"
    wildcard_constraints:
        number=r"\d+",
    priority: RESOURCES.urgency
    conda:
        "../../envs/train.yaml"
    resources:
        gpu=GPU,
    params:
        arguments=words(ssl_commands.targets),
    shell:
        "exec python -m secateur ssl-targets {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"


rule ssl_pretrain:
    input:
        files(ssl_commands.pretrain),
    output:
        multiext(
            f"{SSL}/iteration{{number}}/seed{{seed}}/",
            weights="model.safetensors",
            config="config.json",
            history="history.tsv",
            run="run.json",
        ),
    log:
        f"{SSL_LOGS}/iteration{{number}}/seed{{seed}}.log",
    benchmark:
        f"{SSL_BENCHMARKS}/iteration{{number}}/seed{{seed}}.tsv"
    wildcard_constraints:
        number=r"\d+",
    priority: RESOURCES.urgency
    conda:
        "../../envs/train.yaml"
    threads: RESOURCES.processes
    resources:
        **RESOURCES.training,
    params:
        arguments=words(ssl_commands.pretrain),
    shell:
        "exec python -m secateur ssl-pretrain {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"


rule ssl_distill:
    input:
        files(ssl_commands.distill),
    output:
        multiext(
            f"{SSL}/{{student}}/seed{{seed}}/",
            weights="model.safetensors",
            config="config.json",
            history="history.tsv",
            run="run.json",
        ),
    log:
        f"{SSL_LOGS}/{{student}}/seed{{seed}}.log",
    benchmark:
        f"{SSL_BENCHMARKS}/{{student}}/seed{{seed}}.tsv"
    wildcard_constraints:
        student=one_of(ssl_commands.students(PATHS, gated=False)),
    priority: RESOURCES.urgency
    conda:
        "../../envs/train.yaml"
    threads: RESOURCES.processes
    resources:
        **RESOURCES.training,
    params:
        arguments=words(ssl_commands.distill),
    shell:
        "exec python -m secateur ssl-distill {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"


use rule ssl_distill as ssl_prune with:
    output:
        multiext(
            f"{SSL}/{{student}}/seed{{seed}}/",
            weights="model.safetensors",
            config="config.json",
            history="history.tsv",
            gates="gates.tsv",
            values="gates.safetensors",
            run="run.json",
        ),
    wildcard_constraints:
        student=one_of(ssl_commands.students(PATHS, gated=True)),


rule superb:
    input:
        files(ssl_commands.superb),
    output:
        scores=f"{SSL}/{{student}}/seed{{seed}}/superb/scores.json",
        run=f"{SSL}/{{student}}/seed{{seed}}/superb/run.json",
    log:
        f"{SSL_LOGS}/{{student}}/seed{{seed}}.superb.log",
    benchmark:
        f"{SSL_BENCHMARKS}/{{student}}/seed{{seed}}.superb.tsv"
    conda:
        "../../envs/train.yaml"
    resources:
        gpu=GPU,
    params:
        arguments=words(ssl_commands.superb),
    shell:
        "exec python -m secateur superb-task {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"


# All cores, so that nothing runs beside it, but one thread of computation: times are those of a machine at rest.
rule ssl_speed:
    input:
        files(ssl_commands.speed),
    output:
        f"{SSL}/speed/seed{{seed}}/{{size}}.json",
    log:
        f"{SSL_LOGS}/speed/seed{{seed}}.{{size}}.log",
    wildcard_constraints:
        size="own|base",
    conda:
        "../../envs/train.yaml"
    threads: RESOURCES.all_cores
    resources:
        gpu=GPU,
    params:
        arguments=words(ssl_commands.speed),
    shell:
        "OMP_NUM_THREADS=1 exec python -m secateur ssl-speed {params.arguments} --output {output} &> {log}"
