# Compositions: one job a step, by the commands of the slices that the steps are of.
from secateur.compose import commands as compose_commands

COMPOSED = r"compose--([a-z0-9-]+--)?"


use rule export_depth as compose_layers with:
    input:
        files(compose_commands.keep_layers),
    wildcard_constraints:
        method=rf"{COMPOSED}layers-(decoder-)?({one_of(STRATEGIES.names())})-\d+",
    params:
        arguments=words(compose_commands.keep_layers),


use rule prune_heads as compose_heads with:
    input:
        files(compose_commands.remove_heads),
    wildcard_constraints:
        method=rf"{COMPOSED}headless-({one_of(POLICIES.names())})-\d+",
    params:
        arguments=words(compose_commands.remove_heads),


rule compose_channels:
    input:
        files(compose_commands.remove_channels),
    output:
        weights=f"{MODEL}/model.safetensors",
        model=f"{MODEL}/model.json",
        removed=f"{MODEL}/removed.json",
        run=f"{MODEL}/run.json",
    log:
        f"{LOGS}/{MODEL_TAIL}.log",
    wildcard_constraints:
        method=rf"{COMPOSED}channels-\d+",
    conda:
        "../../envs/decode.yaml"
    params:
        arguments=words(compose_commands.remove_channels),
    shell:
        "exec python -m secateur prune-channels {params.arguments} --output $(dirname {output.run})"
        " --run-json {output.run} &> {log}"


use rule prune as compose_mask with:
    input:
        files(compose_commands.mask),
    wildcard_constraints:
        method=rf"{COMPOSED}mask-({one_of(pruning_methods.registry())})-\d+",
    params:
        arguments=words(compose_commands.mask),


use rule regularise as compose_recover with:
    input:
        files(compose_commands.recover),
    wildcard_constraints:
        method=rf"{COMPOSED}recover-({one_of(config['training'])})",
    params:
        arguments=words(compose_commands.recover),
