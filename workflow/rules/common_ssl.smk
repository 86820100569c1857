# What the rules of self-supervised encoders read, and what they are told.


def one_of(names):
    """A constraint for a wildcard: one of these names, which may be none."""
    return "|".join(sorted(set(names))) or "(?!)"


def students(gated):
    """Names of the students that are pruned through gates, or of the others."""
    return [one["name"] for entry in config["ssl"] for one in entry["students"] if upstreams.gated(one) == gated]


def upstream_entry(wildcards):
    return upstreams.entry_of(config, wildcards.upstream)


def upstream_urgency(wildcards):
    return upstreams.steps_to_come(config, upstream_entry(wildcards), part_of(wildcards))


def audio_of(entry, splits=("train", "dev")):
    """The data directories of an entry's languages, by what they serve as."""
    return {
        name: [f"{ROOT}/data/{entry['corpus']}/{language}/{entry['splits'][name]}" for language in entry["languages"]]
        for name in splits
    }


def audio_files(entry, splits=("train", "dev")):
    return [validation(entry["corpus"])] + [
        file
        for language in entry["languages"]
        for name in splits
        for file in data_files(entry["corpus"], language, entry["splits"][name])
    ]


def encoder_files(folder):
    return [f"{folder}/config.json", f"{folder}/model.safetensors"]


def iteration_folder(wildcards, number):
    return f"{ROOT}/{upstreams.folder(wildcards.upstream, upstreams.iteration(number), wildcards.seed)}"


def targets_folder(wildcards):
    return f"{ROOT}/{upstreams.folder(wildcards.upstream, upstreams.targets(int(wildcards.number)), wildcards.seed)}"


def step_of(wildcards):
    """The iteration of pretraining that a rule is about."""
    return upstream_entry(wildcards)["pretraining"]["iterations"][int(wildcards.number) - 1]


def targets_inputs(wildcards):
    files = audio_files(upstream_entry(wildcards))
    number = int(wildcards.number)
    return files + (encoder_files(iteration_folder(wildcards, number - 1)) if number > 1 else [])


def targets_arguments(wildcards):
    entry, step, number = upstream_entry(wildcards), step_of(wildcards), int(wildcards.number)
    extra = {"encoder": iteration_folder(wildcards, number - 1)} if number > 1 else {}
    extra |= {"layer": step["layer"]} if step["layer"] else {}
    return command(
        "ssl_targets",
        hop=upstreams.hop(entry["encoder"]),
        clusters=step["clusters"],
        frames=step["frames"],
        seed=wildcards.seed,
        device=config["device"],
        **audio_of(entry),
        **extra,
    )


def pretrain_inputs(wildcards):
    number = int(wildcards.number)
    names = ("targets.ark", "targets.scp", "targets.crc32", "clusters.json")
    files = [f"{targets_folder(wildcards)}/{name}" for name in names]
    again = encoder_files(iteration_folder(wildcards, number - 1)) if step_of(wildcards)["again"] else []
    return files + again + audio_files(upstream_entry(wildcards))


def pretrain_arguments(wildcards):
    entry, step, number = upstream_entry(wildcards), step_of(wildcards), int(wildcards.number)
    options = entry["pretraining"]
    names = ("codeword", "temperature", "mask_probability", "mask_length", "masked_weight")
    return command(
        "ssl_pretrain",
        encoder=entry["encoder"],
        head={"clusters": step["clusters"]} | {name: options[name] for name in names},
        targets=targets_folder(wildcards),
        training=config["training"][step["training"]],
        crop_seconds=options["crop_seconds"],
        seed=wildcards.seed,
        device=config["device"],
        **audio_of(entry),
        **({"start": iteration_folder(wildcards, number - 1)} if step["again"] else {}),
    )


def distill_inputs(wildcards):
    entry = upstream_entry(wildcards)
    return encoder_files(upstreams.teacher_folder(entry, wildcards.seed, ROOT)) + audio_files(entry)


def distill_arguments(wildcards):
    entry = upstream_entry(wildcards)
    student = {
        key: value
        for key, value in upstreams.student_of(entry, wildcards.student).items()
        if key not in ("name", "training")
    }
    return command(
        "ssl_distill",
        teacher=upstreams.teacher_folder(entry, wildcards.seed, ROOT),
        student=student,
        log_every=entry["log_every"],
        training=config["training"][upstreams.recipe(entry, wildcards.student)],
        crop_seconds=entry["crop_seconds"],
        seed=wildcards.seed,
        device=config["device"],
        **audio_of(entry),
    )


def upstream_folder(entry, model, seed):
    """The checkpoint that tasks are scored on; `fbank` has none."""
    if model == upstreams.TEACHER:
        return upstreams.teacher_folder(entry, seed, ROOT)
    return f"{ROOT}/{upstreams.folder(entry['name'], model, seed)}"


def local_tasks(entry):
    """Whether any task is made of the entry's corpus."""
    return any(options["source"] == "directories" for options in entry["tasks"].values())


def superb_inputs(wildcards):
    entry = upstream_entry(wildcards)
    files = audio_files(entry, ("train", "dev", "test")) if local_tasks(entry) else []
    if wildcards.student == upstreams.FBANK:
        return files
    return files + encoder_files(upstream_folder(entry, wildcards.student, wildcards.seed))


def superb_arguments(wildcards):
    entry = upstream_entry(wildcards)
    own = wildcards.student != upstreams.FBANK
    extra = {"rate": entry["rate"]} if entry["rate"] else {}
    if local_tasks(entry):
        extra |= {"data": f"{ROOT}/data/{entry['corpus']}", "languages": entry["languages"], "splits": entry["splits"]}
    return command(
        "superb_task",
        [f"secateur.ssl.tasks.{task}" for task in entry["tasks"]] + (["secateur.ssl"] if own else []),
        upstream=upstream_folder(entry, wildcards.student, wildcards.seed) if own else upstreams.FBANK,
        tasks=entry["tasks"],
        seed=wildcards.seed,
        device=config["device"],
        **extra,
    )


def speed_models(entry):
    return [upstreams.TEACHER, *(student["name"] for student in entry["students"])]


def speed_inputs(wildcards):
    entry = upstream_entry(wildcards)
    folders = [upstream_folder(entry, model, wildcards.seed) for model in speed_models(entry)]
    return [file for folder in folders for file in encoder_files(folder)] + audio_files(entry, ("dev",))


def speed_arguments(wildcards):
    entry = upstream_entry(wildcards)
    base = wildcards.size == "base"
    seconds = entry["speed"]["base" if base else "seconds"]
    return command(
        "ssl_speed",
        encoders=[upstream_folder(entry, model, wildcards.seed) for model in speed_models(entry)],
        names=speed_models(entry),
        data=audio_of(entry, ("dev",))["dev"],
        runs=entry["speed"]["runs"],
        device=config["device"],
        **({"most_seconds": seconds} if seconds else {}),
        **({"base": True} if base else {}),
    )
