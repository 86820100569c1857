# What all rules share: the checked configuration, wildcard constraints, paths, and command lines as parameters.
# Shell commands `exec`: a shell that is killed would leave its script behind, which then works beside the repetition.
import json
import shlex
from pathlib import Path

from snakemake.exceptions import WorkflowError

from secateur.study import config as configuration
from secateur.speech import corpora
from secateur.core import gpus
from secateur.study import runs as study
from secateur.ssl import study as upstreams
from secateur import scripts
from secateur.core.errors import SecateurError
from secateur.layers import study as layers
from secateur.core.provenance import fingerprint
from secateur.reporting.figures import FIGURES
from secateur.reporting.tables import TABLES
from secateur.heads import study as heads

try:
    config = configuration.complete(config, f"{workflow.basedir}/workflow/schemas/config.schema.yaml")
except SecateurError as error:
    raise WorkflowError(f"the configuration is not valid:\n{error}")

ROOT = f"results/{config['study']}"
LOGS = f"logs/{config['study']}"
BENCHMARKS = f"{ROOT}/benchmarks"
MODEL_TAIL = "models/{corpus}/{model}/{scope}/{method}/{level}/seed{seed}"
MODEL = f"{ROOT}/{MODEL_TAIL}"
DECODING_TAIL = f"{MODEL_TAIL}/decode/{{split}}/{{language}}/{{search}}"
DECODING = f"{ROOT}/{DECODING_TAIL}"
TABLE_FILES = [f"{ROOT}/tables/{name}" for table in TABLES for name in table.files]
FIGURE_FILES = [f"{ROOT}/figures/{figure.name}.svg" for figure in FIGURES]
REPORT = f"{ROOT}/report/index.html"
# What decides which rows the tables have.
STUDY = {key: value for key, value in config.items() if key not in ("report", "container", "modules")}

# GPUs that a job uses, so that Snakemake starts no more jobs than there are; which one is secateur.core.devices' business.
GPU = 1 if config["device"] == "cuda" or (config["device"] == "auto" and gpus.visible()) else 0


wildcard_constraints:
    corpus="[a-z0-9-]+",
    model="[a-z0-9-]+",
    lm="[a-z0-9-]+",
    scope="[a-z-]+",
    language="[a-z]+",
    method="[a-z0-9+-]+",
    level=r"s\d{3,4}",
    seed=r"\d+",
    split="[a-z0-9-]+",
    search="[a-z0-9-]+",
    rate=r"stack\d+|conv2d",
    upstream="[a-z0-9-]+",
    student="[a-z0-9-]+",


def command(script, modules=(), **options):
    """The arguments of a script as one string, and with them the fingerprint of its code.

    One string because Snakemake compares the parameters of a rule as an unordered set of values, in which a swap goes
    unnoticed. Values other than strings, numbers and lists of them are written as JSON with sorted keys.
    """
    source = Path(scripts.__file__).with_name(f"{script}.py")
    words = []
    for name, value in options.items():
        words.append(f"--{name.replace('_', '-')}")
        if value is True:
            continue
        if isinstance(value, dict):
            words.append(json.dumps(value, sort_keys=True))
        elif isinstance(value, list):
            words += map(str, value)
        else:
            words.append(str(value))
    words += ["--code", fingerprint(source, tuple(modules))]
    return shlex.join(words)


# --- data


def used_corpora():
    return sorted(study.used_corpora(config))


def splits(corpus):
    return corpora.split_names(config["corpora"][corpus])


def corpus_command(script, corpus, entry, **options):
    """Arguments of a script that runs a recipe on `entry`, (a part of) the corpus' entry of the configuration."""
    return command(
        script, [f"secateur.speech.corpora.{entry['recipe']}"], options=entry, cache=f"data/{corpus}", **options
    )


def fetch_arguments(wildcards):
    entry = corpora.fetch_options(config["corpora"][wildcards.corpus])
    return corpus_command("fetch_corpus", wildcards.corpus, entry, language=wildcards.language)


def prepare_arguments(corpus, language):
    entry = {key: value for key, value in config["corpora"][corpus].items() if key != "languages"}
    output = f"{ROOT}/data/{corpus}/{language}"
    return corpus_command("prepare_corpus", corpus, entry, language=language, output=output)


def data_files(corpus, language, split):
    """The files of a data directory that every recipe writes."""
    folder = f"{ROOT}/data/{corpus}/{language}/{split}"
    return [f"{folder}/{name}" for name in ("wav.scp", "text", "utt2spk", "utt2lang", "utt2dur")]


def training_text(corpus):
    return [f"{ROOT}/data/{corpus}/{language}/train/text" for language in config["corpora"][corpus]["languages"]]


def tokens_files(corpus):
    """The token list, first, and what else it needs."""
    pieces = ["bpe.model"] if config["tokens"]["type"] == "bpe" else []
    return [f"{ROOT}/tokens/{corpus}/{name}" for name in ("tokens.txt", *pieces)]


def input_layers(corpus):
    """The input layers of the models that a corpus is for, as `validate_corpus.py` names them."""
    used = [config["models"][run.model] for run in study.model_runs(config) if run.corpus == corpus]
    return sorted({f"stack:{entry['stack']}" if entry["input"] == "stack" else entry["input"] for entry in used})


def validation(corpus):
    return f"{ROOT}/validation/{corpus}.tsv"


def feature_files(corpus, language, split):
    folder = f"{ROOT}/features/{corpus}/{language}/{split}"
    names = ("feats.ark", "feats.scp", "utt2num_frames", "feats.crc32", "cmvn.json")
    return [f"{folder}/{name}" for name in names]


# --- models


def model_file(run):
    return f"{ROOT}/{run.folder}/model.safetensors"


def training_inputs(wildcards):
    """Features, transcripts and tokens of a run's languages; the validation report, so that bad data stops it first."""
    corpus = wildcards.corpus
    files = [*tokens_files(corpus), validation(corpus)]
    for language in study.languages(config, corpus, wildcards.scope):
        for split in ("train", "dev"):
            files += feature_files(corpus, language, split) + data_files(corpus, language, split)
    return files


def model_config(name):
    """What rebuilds the model `name`: its entry of the configuration, with the width of its input."""
    entry = {key: value for key, value in config["models"][name].items() if key != "training"}
    return entry | {"features": config["features"]["mel_bins"]}


def model_module(name):
    return f"secateur.models.{config['models'][name]['type']}"


def lm_config(name):
    """What rebuilds the language model `name`."""
    return {key: value for key, value in config["language_models"][name].items() if key not in ("training", "text")}


def lm_module(name):
    return f"secateur.models.{config['language_models'][name]['type']}"


def lm_text(wildcards):
    """What a language model is trained on: its own text files, or the training text of all languages of the corpus."""
    text = config["language_models"][wildcards.lm]["text"]
    return list(text.values()) if text else training_text(wildcards.corpus)


def lm_text_languages(wildcards):
    """Says which language a language model's own text files are in."""
    text = config["language_models"][wildcards.lm]["text"]
    return {"text_languages": list(text)} if text else {}


def dev_text(wildcards):
    return [
        f"{ROOT}/data/{wildcards.corpus}/{one}/dev/text" for one in config["corpora"][wildcards.corpus]["languages"]
    ]


def recipe_of(wildcards):
    """The training recipe of the model, or language model, that the wildcards of a rule name."""
    if "lm" in wildcards.keys():
        return config["training"][config["language_models"][wildcards.lm]["training"]]
    if "upstream" in wildcards.keys():
        return config["training"][upstreams.recipe(upstreams.entry_of(config, wildcards.upstream), part_of(wildcards))]
    if "method" in wildcards.keys():
        return config["training"][study.recipe(config, run_of(wildcards))]
    return config["training"][config["models"][wildcards.model]["training"]]


def part_of(wildcards):
    """The student, or the iteration of pretraining, of an entry of `ssl` that a job makes."""
    return wildcards.student if "student" in wildcards.keys() else upstreams.iteration(int(wildcards.number))


def processes(wildcards):
    """The processes of a job that trains, on each of its nodes: its `threads`."""
    return recipe_of(wildcards)["processes"]


def several_nodes(value):
    """A resource of a job that trains, a function of its processes and nodes; left out on one node."""

    def resource(wildcards):
        recipe = recipe_of(wildcards)
        return value(recipe["processes"], recipe["nodes"]) if recipe["nodes"] > 1 else None

    return resource


STEPS_TO_COME = study.steps_to_come(config)
FIRST = 10**9
"""The priority of what trainings wait for: one that is ready early must not keep the longest chain from beginning."""
# Of this machine; None where jobs go to a cluster, and in those jobs.
CORES = workflow.resource_settings.cores if workflow.is_main_process else None
ALL_CORES = CORES or 1
# At most half of the cores: jobs of one core would hardly ever leave all of them free at once.
FEATURE_THREADS = max(1, min(4, CORES // 2)) if CORES else 4


def urgency(wildcards):
    """The priority of a job that trains a model: the steps of the longest chain of trainings that it begins."""
    tail = MODEL_TAIL.format(**({"method": "dense", "level": "s000"} | dict(wildcards.items())))
    return STEPS_TO_COME[tail]


# What a job that trains asks for beside memory and time. On several nodes the script itself starts a process on each
# (`mpi` keeps the executor from doing so), and GPUs are counted by node.
TRAINING = dict(
    gpu=lambda wildcards: GPU * processes(wildcards) if recipe_of(wildcards)["nodes"] == 1 else 0,
    nodes=several_nodes(lambda processes, nodes: nodes),
    tasks=several_nodes(lambda processes, nodes: nodes),
    tasks_per_gpu=several_nodes(lambda processes, nodes: 0),
    gres=several_nodes(lambda processes, nodes: f"gpu:{processes}" if GPU else None),
    mpi=several_nodes(lambda processes, nodes: "srun"),
)


# --- pruning


def run_of(wildcards):
    """The run that the wildcards of a rule name."""
    sparsity = int(wildcards.level[1:]) / 1000
    return study.ModelRun(
        wildcards.corpus, wildcards.model, wildcards.scope, int(wildcards.seed), wildcards.method, sparsity
    )


def schedule(wildcards):
    """The pruning schedule of a model."""
    return config["pruning"][study.prune_entry(config, run_of(wildcards))["schedule"]]


def parent_files(wildcards):
    """The checkpoints and masks that a pruned model is made from, and its data."""
    parents = study.parents(config, run_of(wildcards))
    files = []
    for run in filter(None, (parents.start, parents.ranked)):
        files += [f"{ROOT}/{run.folder}/model.safetensors", f"{ROOT}/{run.folder}/model.json"]
    nested = [parents.ranked] if parents.nested else []
    files += [f"{ROOT}/{run.folder}/masks" for run in (*nested, *parents.masks.values())]
    return list(dict.fromkeys(files)) + training_inputs(wildcards)


def training_arguments(wildcards):
    """The options that every job has which trains an acoustic model, but for the recipe."""
    return dict(
        data=f"{ROOT}/data/{wildcards.corpus}",
        features=f"{ROOT}/features/{wildcards.corpus}",
        speeds=config["features"]["speeds"],
        languages=study.languages(config, wildcards.corpus, wildcards.scope),
        tokens=tokens_files(wildcards.corpus)[0],
        seed=wildcards.seed,
        device=config["device"],
    )


def retraining(wildcards):
    """The training recipe of a pruned model, with the steps of all its levels; and the steps of one."""
    recipe = config["training"][schedule(wildcards)["training"]]
    levels = study.parents(config, run_of(wildcards)).levels
    return recipe | {"steps": recipe["steps"] * levels, "cycles": levels}, recipe["steps"]


def prune_arguments(wildcards):
    options, run = schedule(wildcards), run_of(wildcards)
    parents = study.parents(config, run)
    extra = {key: options[key] for key in ("include", "exclude")}
    if parents.nested:
        extra["within"] = f"{ROOT}/{parents.ranked.folder}/masks/all.safetensors"
    if run.kind.endswith("-adaptive"):
        extra |= {"adapt_every": options["adapt_every"], "soft": options["soft"]}
        extra |= {"keep_moments": True} if options["keep_moments"] else {}
    if run.kind == "random":
        extra["random"] = True
    return command(
        "prune",
        [model_module(run.model)],
        start=f"{ROOT}/{parents.start.folder}",
        ranked=f"{ROOT}/{parents.ranked.folder}",
        sparsity=run.sparsity,
        ranking=options["ranking"],
        training=retraining(wildcards)[0],
        before=study.steps_before(config, run),
        **extra,
        **training_arguments(wildcards),
    )


def pathways_arguments(wildcards):
    options, run = schedule(wildcards), run_of(wildcards)
    parents, (recipe, interval) = study.parents(config, run), retraining(wildcards)
    extra = {}
    if run.method.startswith("dynamic"):
        extra = {"levels": parents.sparsities, "interval": interval, "adapt_every": options["adapt_every"]}
        extra |= {"keep_moments": True} if options["keep_moments"] else {}
    return command(
        "pathways",
        [model_module(run.model)],
        start=f"{ROOT}/{parents.start.folder}",
        masks=[f"{ROOT}/{parent.folder}/masks/all.safetensors" for parent in parents.masks.values()],
        ranking=options["ranking"],
        training=recipe,
        before=study.steps_before(config, run),
        **extra,
        **training_arguments(wildcards),
    )


def mask_folder(wildcards):
    """The masks of a model; nothing for a dense one."""
    run = run_of(wildcards)
    return [] if not run.masked or run.kind in study.DENSE_CONTROLS else [f"{MODEL.format(**wildcards)}/masks"]


# --- layers


def model_files(folder):
    """The checkpoint of a model in a folder relative to the study's."""
    return [f"{ROOT}/{folder}/model.safetensors", f"{ROOT}/{folder}/model.json"]


def dev_arguments(corpus):
    """The dev data of all languages of a corpus, as scripts that analyse layers want it."""
    folders = [f"{corpus}/{language}/{layers.RTF_SPLIT}" for language in study.languages(config, corpus, "all")]
    return dict(
        data=[f"{ROOT}/data/{folder}" for folder in folders],
        features=[f"{ROOT}/features/{folder}" for folder in folders],
        device=config["device"],
    )


def dev_files(corpus):
    files = []
    for language in study.languages(config, corpus, "all"):
        files += feature_files(corpus, language, layers.RTF_SPLIT) + data_files(corpus, language, layers.RTF_SPLIT)
    return files


def layer_search_inputs(wildcards):
    return model_files(run_of(wildcards).folder) + tokens_files(wildcards.corpus) + dev_files(wildcards.corpus)


def layer_similarity_files(wildcards):
    """What the strategy svcca orders layers by, and what that cost; nothing for the others."""
    folder = f"{MODEL}/layers".format(**wildcards)
    return [f"{folder}/similarity.tsv", f"{folder}/curves.json"] if wildcards.strategy == "svcca" else []


def layer_similarity_arguments(wildcards):
    run = run_of(wildcards)
    return command(
        "similarity",
        [model_module(run.model)],
        models=[f"{ROOT}/{run.folder}"],
        names=[layers.name(run)],
        **dev_arguments(run.corpus),
    )


def layer_search_arguments(wildcards):
    run = run_of(wildcards)
    extra = dict(zip(("similarity", "similarity_curves"), layer_similarity_files(wildcards)))
    return command(
        "layer_search",
        [model_module(run.model)],
        model=f"{ROOT}/{run.folder}",
        tokens=tokens_files(run.corpus)[0],
        strategy=wildcards.strategy,
        objective=layers.entry_of(config, run.whole)["objective"],
        batch_seconds=config["training"][study.recipe(config, run.whole)]["batch_seconds"],
        seed=run.seed,
        **extra,
        **dev_arguments(run.corpus),
    )


def order_files(run):
    """What all strategies found for a model."""
    return [f"{ROOT}/{layers.order_file(run, name)}" for name in layers.entry_of(config, run)["strategies"]]


def depth_rtf_inputs(wildcards):
    run = run_of(wildcards)
    files = layer_search_inputs(wildcards) + order_files(run)[:1]
    for depth in layers.entry_of(config, run)["trained"]:
        files += model_files(layers.trained_run(layers.entry_of(config, run), depth, run.seed).folder)
    return files


def depth_rtf_arguments(wildcards):
    run = run_of(wildcards)
    entry = layers.entry_of(config, run)
    alone = [layers.trained_run(entry, depth, run.seed) for depth in entry["trained"]]
    extra = {}
    if alone:
        extra = {
            "trained": [f"{ROOT}/{other.folder}" for other in alone],
            "trained_names": [run.model for run in alone],
        }
    return command(
        "depth_rtf",
        [model_module(run.model)],
        model=f"{ROOT}/{run.folder}",
        name=layers.name(run),
        layers=order_files(run)[0],
        depths=entry["depths"],
        searches={name: config["searches"][name] for name in layers.timed_searches(config, entry)},
        seed=run.seed,
        **dev_arguments(run.corpus),
        **extra,
    )


def depths_inputs(wildcards):
    return decoding_inputs(wildcards) | {"layers": order_files(run_of(wildcards))}


def depths_arguments(wildcards):
    run = run_of(wildcards)
    return decoding_command(wildcards, layers=order_files(run), depths=layers.entry_of(config, run)["depths"])


def compared_inputs(wildcards):
    files = tokens_files(wildcards.corpus) + dev_files(wildcards.corpus)
    for run in layers.compared(config, wildcards.corpus, wildcards.rate, int(wildcards.seed)).values():
        files += model_files(run.folder)
    return files


def compared_arguments(wildcards):
    runs = layers.compared(config, wildcards.corpus, wildcards.rate, int(wildcards.seed))
    return command(
        "similarity",
        sorted({model_module(run.model) for run in runs.values()}),
        models=[f"{ROOT}/{run.folder}" for run in runs.values()],
        names=list(runs),
        **dev_arguments(wildcards.corpus),
    )


def regularise_arguments(wildcards):
    run = run_of(wildcards)
    variant = study.late_variant(config, run)
    return command(
        "finetune",
        [model_module(run.model)],
        start=f"{ROOT}/{study.parents(config, run).start.folder}",
        intermediate_ctc=variant["intermediate_ctc"],
        stochastic_depth=variant["stochastic_depth"],
        rise=variant["rise"],
        training=config["training"][variant["training"]],
        before=study.steps_before(config, run),
        **training_arguments(wildcards),
    )


# --- decoding


def score_file(decoding):
    return f"{ROOT}/{decoding.folder}/score.json"


def decoding_inputs(wildcards):
    search = config["searches"][wildcards.search]
    model = MODEL.format(**wildcards)
    inputs = {
        "model": [f"{model}/model.safetensors", f"{model}/model.json"],
        "masks": mask_folder(wildcards),
        "features": feature_files(wildcards.corpus, wildcards.language, wildcards.split),
        "data": data_files(wildcards.corpus, wildcards.language, wildcards.split),
    }
    if search.get("lm"):
        folder = f"{ROOT}/{study.lm_folder(wildcards.corpus, search['lm'], wildcards.seed)}"
        inputs["lm"] = [f"{folder}/model.safetensors", f"{folder}/model.json"]
    if search["type"] == "lexicon":
        inputs["text"] = training_text(wildcards.corpus)
        inputs["tokens"] = tokens_files(wildcards.corpus)
    return inputs


def decoding_arguments(wildcards):
    return decoding_command(wildcards)


def decoding_command(wildcards, **options):
    search = config["searches"][wildcards.search]
    modules = [model_module(wildcards.model)]
    if search.get("lm"):
        modules.append(lm_module(search["lm"]))
        options["lm"] = f"{ROOT}/{study.lm_folder(wildcards.corpus, search['lm'], wildcards.seed)}"
    if search["type"] == "lexicon":
        options["train_text"] = training_text(wildcards.corpus)
        options["tokens"] = tokens_files(wildcards.corpus)[0]
    for folder in mask_folder(wildcards):
        shared = not wildcards.method.startswith(("pathways", "dynamic"))
        options["mask"] = f"{folder}/{'all' if shared else wildcards.language}.safetensors"
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


# --- report


def language_models_used():
    """(corpus, language model, seed) of everything that the study's searches need."""
    return sorted(
        {
            (decoding.run.corpus, config["searches"][decoding.search]["lm"], decoding.run.seed)
            for decoding in (*study.decodings(config), *layers.decodings(config))
            if config["searches"][decoding.search].get("lm")
        }
    )


def measurements(wildcards):
    """Every file that the tables read."""
    files = [validation(corpus) for corpus in used_corpora()]
    for corpus in used_corpora():
        for language in config["corpora"][corpus]["languages"]:
            folder = f"{ROOT}/data/{corpus}/{language}"
            files += [f"{folder}/source.json", f"{folder}/dropped.tsv", f"{folder}/run.json"]
    files += [f"{ROOT}/sizes.json", f"{ROOT}/masks.json"]
    for run in study.model_runs(config):
        names = ["history.tsv", "run.json", *(["adaptations.tsv"] if run.mask_changes else [])]
        files += [f"{ROOT}/{run.folder}/{name}" for name in names]
    for decoding in study.decodings(config):
        folder = f"{ROOT}/{decoding.folder}"
        files += [f"{folder}/{name}" for name in ("score.json", "utterances.tsv", "latency.json", "run.json")]
    for decoding in layers.decodings(config):
        files += [f"{ROOT}/{decoding.folder}/{name}" for name in ("score.json", "utterances.tsv", "run.json")]
    for entry, run in layers.runs(config):
        files += [f"{ROOT}/{layers.rtf_file(run)}", *order_files(run)]
    for comparison in layers.comparisons(config):
        files.append(f"{ROOT}/{layers.similarity_folder(*comparison)}/similarity.tsv")
    for decoding in (*heads.decodings(config), *heads.combined_decodings(config)):
        files += [f"{ROOT}/{decoding.folder}/{name}" for name in ("score.json", "utterances.tsv", "run.json")]
    for _, run in heads.runs(config):
        paths = (heads.importance_file(run), heads.removals_file(run), heads.latency_file(run))
        files += [f"{ROOT}/{path}" for path in paths]
    files += [f"{ROOT}/{heads.perplexity_file(*lm)}" for lm in heads.perplexities(config)]
    for corpus, lm, seed in language_models_used():
        folder = f"{ROOT}/{study.lm_folder(corpus, lm, seed)}"
        files += [f"{folder}/history.tsv", f"{folder}/run.json"]
    return files + [f"{ROOT}/{path}" for path in upstreams.measured(config)]
