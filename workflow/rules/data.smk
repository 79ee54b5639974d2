# Datasets: four sources, one layout; and their tables of trajectories.


if config["source"] == "dsrl":
    # Several at once, limited; also when other limits replace the profile's.
    if "downloads" not in workflow.global_resources:
        workflow.register_resource("downloads", config["dsrl"]["at_once"])
    # Not parameters of the rule: another mirror, or another version of the code that fetches,
    # makes no other data, and must not train everything again.
    os.environ.update(PREFINE_DSRL=as_json(config["dsrl"]))
    MISSING_DATA = [t for t in TASKS if not Path(f"{RUN}/data/{t}.hdf5").exists()]

    envvars:
        "PREFINE_DSRL",

    rule download:
        output:
            f"{RUN}/data/{{task}}.hdf5",
        log:
            f"{RUN}/logs/download/{{task}}.log",
        benchmark:
            f"{RUN}/benchmarks/download/{{task}}.jsonl"
        localrule: True  # nodes of a cluster often reach no network
        conda:
            "../../envs/download.yaml"
        resources:
            downloads=1,
        message:
            "Get {wildcards.task} of DSRL"
        shell:
            'python "$PREFINE_SCRIPTS" data/download.py '
            "--task {wildcards.task} --output {output:q} "
            ">> {log:q} 2> >(tee -a {log:q} >&2)"

elif config["source"] == "policy":

    # The trajectories are what the user's own policy plays, behind those that the user brings.
    rule rollouts:
        input:
            policy=run.own_policy_files,
            data=lambda w: run.own_file(w.task),
            module=run.own_module,
        output:
            data=f"{RUN}/data/{{task}}.hdf5",
            task=f"{RUN}/tasks/{{task}}.json",
        log:
            f"{RUN}/logs/rollouts/{{task}}.log",
        benchmark:
            f"{RUN}/benchmarks/rollouts/{{task}}.jsonl"
        conda:
            "../../envs/collect.yaml"
        resources:
            mem_mb=4000,
        params:
            policy=lambda w: as_json(run.own_policies[w.task]),
            settings=lambda w: as_json(run.own_entry(w.task)),
            data=lambda w: ["--data", run.own_entry(w.task)["data"]] if run.own_file(w.task) else [],
            labelled=run.is_labelled,
            code=run.code("data/rollouts"),
        message:
            "Play the policy of {wildcards.task}"
        shell:
            'python "$PREFINE_SCRIPTS" data/rollouts.py '
            "--name {wildcards.task} --policy {params.policy:q} "
            "--settings {params.settings:q} {params.data:q} {params.labelled} "
            "--output {output.data:q} --task {output.task:q} "
            ">> {log:q} 2> >(tee -a {log:q} >&2)"

elif config["source"] == "file":

    rule import_data:
        input:
            data=lambda w: run.own_file(w.task),
            module=run.own_module,
        output:
            data=f"{RUN}/data/{{task}}.hdf5",
            task=f"{RUN}/tasks/{{task}}.json",
        log:
            f"{RUN}/logs/import_data/{{task}}.log",
        benchmark:
            f"{RUN}/benchmarks/import_data/{{task}}.jsonl"
        conda:
            "../../envs/import.yaml"
        params:
            data=lambda w: config["file"][w.task]["data"],
            settings=lambda w: as_json(config["file"][w.task]),
            labelled=run.is_labelled,
            code=run.code("data/import_data"),
        message:
            "Bring the data of {wildcards.task} into DSRL's layout"
        shell:
            'python "$PREFINE_SCRIPTS" data/import_data.py '
            "--name {wildcards.task} --data {params.data:q} "
            "--settings {params.settings:q} {params.labelled} "
            "--output {output.data:q} --task {output.task:q} "
            ">> {log:q} 2> >(tee -a {log:q} >&2)"

else:

    # A family of policies plays the task; where there is none, policies are trained for it.
    rule collect:
        input:
            family=run.family,
        output:
            f"{RUN}/data/{{task}}.hdf5",
        log:
            f"{RUN}/logs/collect/{{task}}.log",
        benchmark:
            f"{RUN}/benchmarks/collect/{{task}}.jsonl"
        conda:
            "../../envs/collect.yaml"
        threads: lambda w: config["evaluation"]["workers"] if run.family(w) else 1
        resources:
            mem_mb=6000,
        params:
            how=run.how_to_collect,
            code=run.code("data/collect"),
        message:
            "Collect {wildcards.task} in its simulator"
        shell:
            'python "$PREFINE_SCRIPTS" data/collect.py '
            "--task {wildcards.task} {params.how:q} --workers {threads} "
            "--output {output:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule trajectories:
    input:
        data=f"{RUN}/data/{{task}}.hdf5",
        task=run.task_file,
    output:
        table=f"{RUN}/trajectories/{{task}}.csv",
        checks=f"{RUN}/trajectories/{{task}}.json",
    log:
        f"{RUN}/logs/trajectories/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/trajectories/{{task}}.jsonl"
    conda:
        "../../envs/data.yaml"
    params:
        task=run.task_argument,
        code=run.code("data/trajectories"),
    message:
        "Tabulate the trajectories of {wildcards.task} and recompute their costs"
    shell:
        'python "$PREFINE_SCRIPTS" data/trajectories.py '
        "--task {params.task:q} --data {input.data:q} "
        "--output {output.table:q} --checks {output.checks:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule export_minari:
    input:
        run.task_paths(f"{RUN}/minari/{{task}}/trajectories-v0", TASKS),


rule minari:
    input:
        data=f"{RUN}/data/{{task}}.hdf5",
        task=run.task_file,
    output:
        directory(f"{RUN}/minari/{{task}}/trajectories-v0"),
    log:
        f"{RUN}/logs/minari/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/minari/{{task}}.jsonl"
    conda:
        "../../envs/minari.yaml"
    resources:
        mem_mb=6000,
    params:
        task=run.task_argument,
        code=run.code("data/export_minari"),
    message:
        "Write {wildcards.task}'s data as Minari's"
    shell:
        'python "$PREFINE_SCRIPTS" data/export_minari.py '
        "--task {params.task:q} --data {input.data:q} --output {output:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"
