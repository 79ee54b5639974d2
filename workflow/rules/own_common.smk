# Shared by the rules where a policy, labels or data are the user's own.


def own_entry(task):
    """What the config's `file` says of a task; nothing if the data are not the user's own."""
    return config["file"].get(task, {}) if OWN_DATA else {}


def own_module(wildcards):
    """The file that registers a task's environment, if the user named one."""
    return own_entry(task_of(wildcards)).get("module", [])


def own_file(task):
    """The user's data, if there are any; of a folder of Minari, the file that holds it."""
    if "data" not in own_entry(task):
        return []
    path = Path(own_entry(task)["data"])
    return str(path / "data/main_data.hdf5" if path.is_dir() else path)


def labels_file(wildcards):
    """The labels of a task: the user's file, or the sheet that waits for it to be filled in."""
    own = config["labels"].get(wildcards.task)
    if own is None or Path(own).exists():
        return own or []
    return f"{RUN}/labels/{wildcards.task}.csv"


def waiting_sheets(wildcards):
    """All sheets that wait, so that each lies there when the first job says so."""
    own = {task: path for task, path in config["labels"].items() if not Path(path).exists()}
    return [f"{RUN}/labels/{task}.csv" for task in own] if wildcards.task in own else []


def labels_arguments(wildcards, input):
    """The labels of a task, and where they are awaited if they are not there."""
    own = config["labels"].get(wildcards.task)
    if own is None:
        return []
    return ["--labels", input.labels] + ([] if input.labels == own else ["--save-as", own])


def own_policy_files(task):
    """The files of the user's own policy."""
    own = config["own_policy"][task]
    return [own[name] for name in ("file", "vec_normalize") if own.get(name)]


def distil_settings(task):
    """How a policy without a density is cloned: as pi_ref is, in the states of all data."""
    own = settings_of_training(config, REFERENCE, task)
    distil = config["own_policy"][task]["distil"]
    return as_json(
        own | {"iterations": distil["iterations"], "policy": distil["into"], "points": 0}
    )


def candidates(task, followed=False):
    """The jobs whose policies are those to choose from."""
    own = {job: a for job, a in ARMS.items() if (a.task, a.method) == (task, "prefine")}
    return [job for job, a in own.items() if a.policies == job and (a.points or not followed)]


def candidate_paths(task, pattern, followed=False):
    """One path for each of these jobs."""
    return [pattern.format(job=job) for job in candidates(task, followed)]


def control_policies(wildcards):
    """BC from pi_ref on the preferred alone, if the main study has it."""
    job = f"main/{wildcards.task}/bc_from_reference"
    return f"{RUN}/policies/{job}.safetensors" if job in ARMS else []


def validation_settings(wildcards):
    """What a rollout needs by which a policy is chosen."""
    own = {"episodes": config["choose"]["episodes"], "purpose": "validate"}
    return as_json(own | {"action_mode": config["evaluation"]["action_mode"]})


def data_note():
    """Where the trajectories come from, for the foot of a figure."""
    labels = {"collect": "collected locally in the simulators", "dsrl": "DSRL"}
    labels |= {"file": "the user's own", "policy": "rollouts of the user's own policy"}
    brought = [task for task in TASKS if config["source"] == "policy" and own_file(task)]
    more = f"; of {', '.join(brought)} also a log of the user's own" if brought else ""
    return f"Trajectories: {labels[config['source']]}{more}."


def own_policy_targets():
    """What a run with the user's own policies ends in."""
    followed = all(candidates(task, followed=True) for task in TASKS)
    figures = ["before_after", "cost_per_step"] + ["own_learning"] * followed
    return [
        f"{RUN}/tables/before_after.csv",
        f"{RUN}/tables/provenance.json",
        *(f"{RUN}/figures/{name}.png" for name in figures),
        *(f"{RUN}/export/{task}/policy.safetensors" for task in TASKS),
    ]
