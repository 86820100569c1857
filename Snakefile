# A table of contents: what the study is, where the rules are, what can be asked for by name.
from snakemake.utils import min_version

min_version("9.27")


configfile: f"{workflow.basedir}/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/prune.smk"
include: "workflow/rules/decode.smk"
include: "workflow/rules/layers.smk"
include: "workflow/rules/exits.smk"
include: "workflow/rules/heads.smk"
include: "workflow/rules/compose.smk"
include: "workflow/rules/exported.smk"
include: "workflow/rules/streaming.smk"
include: "workflow/rules/ssl.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/watch.smk"
include: "workflow/rules/site.smk"


rule all:
    default_target: True
    input:
        REPORT,


rule data:
    input:
        [PATHS.validation(corpus) for corpus in study.used_corpora(config)],


rule models:
    input:
        [f"{PATHS.folder(run)}/model.safetensors" for run in study.model_runs(config)],


rule decodings:
    input:
        [
            f"{PATHS.folder(decoding)}/score.json"
            for decoding in (
                *study.decodings(config),
                *layers.decodings(config),
                *exits.decodings(config),
                *exported.decodings(config),
                *heads.decodings(config),
                *heads.combined_decodings(config),
                *compose.bare_decodings(config),
            )
        ],
