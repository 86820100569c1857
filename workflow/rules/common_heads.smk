# What the rules of head pruning read, and what they are told.


def heads_entry(wildcards):
    """The entry of `heads` that is about a model, whole or smaller."""
    return study.heads_entry(config, run_of(wildcards))


def head_inputs(wildcards):
    return model_files(run_of(wildcards).folder) + tokens_files(wildcards.corpus) + dev_files(wildcards.corpus)


def head_importance_arguments(wildcards):
    run, entry = run_of(wildcards), heads_entry(wildcards)
    extra = {"again": entry["again"]} if entry["again"] else {}
    return command(
        "head_importance",
        [model_module(run.model)],
        model=f"{ROOT}/{run.folder}",
        tokens=tokens_files(run.corpus)[0],
        utterances=entry["utterances"],
        seed=run.seed,
        **extra,
        **dev_arguments(run.corpus),
    )


def head_times_arguments(wildcards):
    run = run_of(wildcards)
    beams = [config["searches"][name].get("beam") for name in heads_entry(wildcards)["latency"]["searches"]]
    return command(
        "head_times",
        [model_module(run.model)],
        model=f"{ROOT}/{run.folder}",
        tokens=tokens_files(run.corpus)[0],
        beam=next(filter(None, beams), 1),
        **dev_arguments(run.corpus),
    )


def times_files(run, policies):
    """The measured times that policies need; nothing for most."""
    return [f"{ROOT}/{heads.times_file(run)}"] if "latency-aware" in policies else []


def head_removals_inputs(wildcards):
    run = run_of(wildcards)
    times = times_files(run, heads_entry(wildcards)["policies"])
    return {"model": model_files(run.folder), "importances": f"{ROOT}/{heads.importance_file(run)}", "times": times}


def head_removals_arguments(wildcards):
    run, entry = run_of(wildcards), heads_entry(wildcards)
    times = times_files(run, entry["policies"])
    return command(
        "head_removals",
        [model_module(run.model)],
        model=f"{ROOT}/{run.folder}",
        importances=f"{ROOT}/{heads.importance_file(run)}",
        systems=["/".join(system) for system in heads.systems(entry)],
        shares=entry["shares"],
        **({"times": times[0]} if times else {}),
    )


def heads_inputs(wildcards):
    return decoding_inputs(wildcards) | {"heads": f"{ROOT}/{heads.removals_file(run_of(wildcards))}"}


def heads_arguments(wildcards):
    return decoding_command(wildcards, heads=f"{ROOT}/{heads.removals_file(run_of(wildcards))}")


def lm_of(run, search):
    """The folder of the language model of a search; None if it has none."""
    lm = config["searches"][search].get("lm")
    return f"{ROOT}/{study.lm_folder(run.corpus, lm, run.seed)}" if lm else None


def head_latency_inputs(wildcards):
    run = run_of(wildcards)
    files = [f"{ROOT}/{heads.removals_file(run)}", *dev_files(run.corpus)]
    for model, search, _ in heads.timed(heads_entry(wildcards), run).values():
        files += model_files(model.folder)
        if folder := lm_of(run, search):
            files += [f"{folder}/model.safetensors", f"{folder}/model.json"]
    return list(dict.fromkeys(files))


def head_latency_arguments(wildcards):
    run, entry = run_of(wildcards), heads_entry(wildcards)
    modules, systems = {model_module(run.model)}, {}
    found = heads.timed(entry, run)
    for name, (model, search, sets) in found.items():
        systems[name] = {"model": f"{ROOT}/{model.folder}", "search": config["searches"][search]}
        if folder := lm_of(run, search):
            systems[name]["lm"] = folder
            modules.add(lm_module(config["searches"][search]["lm"]))
        if sets:
            systems[name]["heads"] = f"{ROOT}/{heads.removals_file(run)}"
    return command(
        "latency",
        sorted(modules),
        systems=systems,
        baseline=next(iter(found)),
        utterances=entry["latency"]["utterances"],
        repeats=entry["latency"]["repeats"],
        seed=run.seed,
        **dev_arguments(run.corpus),
    )


def prune_heads_inputs(wildcards):
    run = run_of(wildcards)
    _, policy, _ = heads.last_step(run)
    return {
        "model": model_files(heads.before(run).folder),
        "importances": f"{ROOT}/{heads.importance_file(heads.before(run))}",
        "times": times_files(heads.before(run), [policy]),
    }


def prune_heads_arguments(wildcards):
    run, entry = run_of(wildcards), heads_entry(wildcards)
    _, policy, permille = heads.last_step(run)
    times = times_files(heads.before(run), [policy])
    return command(
        "prune_heads",
        [model_module(run.model)],
        model=f"{ROOT}/{heads.before(run).folder}",
        importances=f"{ROOT}/{heads.importance_file(heads.before(run))}",
        importance=entry["importances"][0],
        policy=policy,
        share=permille / 1000,
        **({"times": times[0]} if times else {}),
    )


def export_depth_inputs(wildcards):
    run = run_of(wildcards)
    return [*model_files(heads.before(run).folder), f"{ROOT}/{heads.layer_order(run)}"]


def export_depth_arguments(wildcards):
    run = run_of(wildcards)
    return command(
        "export_depth",
        [model_module(run.model)],
        model=f"{ROOT}/{heads.before(run).folder}",
        layers=f"{ROOT}/{heads.layer_order(run)}",
        depth=heads.last_step(run)[2],
    )


def recover_inputs(wildcards):
    return model_files(heads.before(run_of(wildcards)).folder) + training_inputs(wildcards)


def recover_arguments(wildcards):
    run = run_of(wildcards)
    return command(
        "finetune",
        [model_module(run.model)],
        start=f"{ROOT}/{heads.before(run).folder}",
        training=config["training"][study.recipe(config, run)],
        before=study.steps_before(config, run),
        **training_arguments(wildcards),
    )


def perplexity_arguments(wildcards):
    texts = {
        f"{split}/{language}": f"{ROOT}/data/{wildcards.corpus}/{language}/{split}"
        for split in study.splits(config, wildcards.corpus)
        for language in study.languages(config, wildcards.corpus, "all")
    }
    return command(
        "perplexity",
        [lm_module(wildcards.lm)],
        lm=f"{ROOT}/{LM_TAIL}".format(**wildcards),
        tokens=tokens_files(wildcards.corpus)[0],
        data=list(texts.values()),
        names=list(texts),
        device=config["device"],
    )
