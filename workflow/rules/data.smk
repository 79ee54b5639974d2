# Datasets, trajectory tables, splits, and the statistics of Tables 2 and 3.


if config["source"] == "dsrl":
    # Several at once, limited; also when other limits replace the profile's.
    if "downloads" not in workflow.global_resources:
        workflow.register_resource("downloads", config["dsrl"]["at_once"])
    # Not parameters of the rule: another mirror, or another version of the code that fetches,
    # makes no other data, and must not train everything again.
    os.environ.update(PREFINE_DSRL=as_json(config["dsrl"]))
    MISSING_DATA = [t for t in TASKS if not Path(f"{RUN}/data/{t}.hdf5").exists()]

    # Once for all tasks; a dry run does not come here.
    onstart:
        if config["dsrl"]["offline"]:
            if message := how_to_help(config["dsrl"], MISSING_DATA):
                raise WorkflowError(f"offline is set. {message}")

    onerror:
        message = how_to_help(config["dsrl"], MISSING_DATA)
        if message and any("Error in rule download" in Path(file).read_text() for file in log):
            print(message, file=sys.stderr)

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
            "python scripts/download.py --task {wildcards.task} --output {output:q} "
            ">> {log:q} 2> >(tee -a {log:q} >&2)"

elif config["source"] == "policy":

    # The trajectories are what the user's own policy plays, behind those that the user brings.
    rule rollouts:
        input:
            policy=lambda w: own_policy_files(w.task),
            data=lambda w: own_file(w.task),
            module=own_module,
        output:
            data=f"{RUN}/data/{{task}}.hdf5",
            task=f"{RUN}/tasks/{{task}}.json",
        log:
            f"{RUN}/logs/rollouts/{{task}}.log",
        benchmark:
            f"{RUN}/benchmarks/rollouts/{{task}}.jsonl"
        conda:
            "../../envs/policy.yaml"
        resources:
            mem_mb=4000,
        params:
            policy=lambda w: as_json(config["own_policy"][w.task]),
            settings=lambda w: as_json(own_entry(w.task)),
            data=lambda w: ["--data", own_entry(w.task)["data"]] if own_file(w.task) else [],
            labelled=lambda w: "--labelled" if w.task in config["labels"] else "",
            code=code("rollouts"),
        message:
            "Play the policy of {wildcards.task}"
        shell:
            "python scripts/rollouts.py --name {wildcards.task} --policy {params.policy:q} "
            "--settings {params.settings:q} {params.data:q} {params.labelled} "
            "--output {output.data:q} --task {output.task:q} "
            ">> {log:q} 2> >(tee -a {log:q} >&2)"

elif config["source"] == "file":

    rule import_data:
        input:
            data=lambda w: own_file(w.task),
            module=own_module,
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
            labelled=lambda w: "--labelled" if w.task in config["labels"] else "",
            code=code("import_data"),
        message:
            "Bring the data of {wildcards.task} into DSRL's layout"
        shell:
            "python scripts/import_data.py --name {wildcards.task} --data {params.data:q} "
            "--settings {params.settings:q} {params.labelled} "
            "--output {output.data:q} --task {output.task:q} "
            ">> {log:q} 2> >(tee -a {log:q} >&2)"

else:

    rule collect:
        output:
            f"{RUN}/data/{{task}}.hdf5",
        log:
            f"{RUN}/logs/collect/{{task}}.log",
        benchmark:
            f"{RUN}/benchmarks/collect/{{task}}.jsonl"
        conda:
            "../../envs/collect.yaml"
        threads: 1
        resources:
            mem_mb=4000,
        params:
            recipe=lambda w: as_json(recipe(config, w.task)),
            code=code("collect"),
        message:
            "Collect {wildcards.task} in its simulator"
        shell:
            "python scripts/collect.py --task {wildcards.task} --recipe {params.recipe:q} "
            "--output {output:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule trajectories:
    input:
        data=f"{RUN}/data/{{task}}.hdf5",
        task=task_file,
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
        task=task_argument,
        code=code("trajectories"),
    message:
        "Tabulate the trajectories of {wildcards.task} and recompute their costs"
    shell:
        "python scripts/trajectories.py --task {params.task:q} --data {input.data:q} "
        "--output {output.table:q} --checks {output.checks:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule split:
    input:
        data=f"{RUN}/data/{{task}}.hdf5",
        trajectories=f"{RUN}/trajectories/{{task}}.csv",
        reuse=splits_of_another_run,
        labels=labels_file,
        sheets=waiting_sheets,
        task=task_file,
    output:
        splits=f"{RUN}/splits/{{task}}.csv",
        manifest=f"{RUN}/splits/{{task}}.json",
    log:
        f"{RUN}/logs/split/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/split/{{task}}.jsonl"
    conda:
        "../../envs/data.yaml"
    params:
        task=task_argument,
        source=config["source"],
        reuse=lambda w, input: ["--reuse", *input.reuse] if input.reuse else [],
        labels=labels_arguments,
        settings=lambda w: split_settings(w.task),
        code=code("split"),
    message:
        "Split {wildcards.task} by its thresholds"
    shell:
        "python scripts/split.py --task {params.task:q} --data {input.data:q} "
        "--trajectories {input.trajectories:q} --settings {params.settings:q} "
        "--source {params.source} {params.reuse:q} {params.labels:q} "
        "--output {output.splits:q} --manifest {output.manifest:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


# Figure 5: the same sets in other sizes, drawn with the same random numbers.
use rule split as split_sizes with:
    input:
        data=f"{RUN}/data/{{task}}.hdf5",
        trajectories=f"{RUN}/trajectories/{{task}}.csv",
        reuse=[],
        labels=labels_file,
        sheets=waiting_sheets,
        task=task_file,
    output:
        splits=f"{RUN}/splits/sizes/{{task}}.csv",
        manifest=f"{RUN}/splits/sizes/{{task}}.json",
    log:
        f"{RUN}/logs/split/sizes/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/split/sizes/{{task}}.jsonl"
    params:
        task=task_argument,
        source=config["source"],
        reuse=[],
        labels=labels_arguments,
        settings=lambda w: split_settings(w.task, sizes=sizes_of(w.task)),
        code=code("split"),
    message:
        "Split {wildcards.task} into sets of other sizes"


rule dataset_statistics:
    input:
        manifests=task_paths(f"{RUN}/splits/{{task}}.json"),
        checks=task_paths(f"{RUN}/trajectories/{{task}}.json"),
        paper="workflow/paper/tables2_3.csv",
    output:
        csv=f"{RUN}/tables/dataset_statistics.csv",
        html=report(
            f"{RUN}/tables/dataset_statistics.html",
            caption="../report/dataset_statistics.rst",
            category=section("Data"),
            labels={"item": "Tables 2 and 3: dataset statistics"},
        ),
        markdown=f"{RUN}/tables/dataset_statistics.md",
    log:
        f"{RUN}/logs/dataset_statistics.log",
    benchmark:
        f"{RUN}/benchmarks/dataset_statistics.jsonl"
    conda:
        "../../envs/data.yaml"
    params:
        code=code("dataset_statistics"),
    message:
        "Tables 2 and 3: statistics of D_p and D_np"
    shell:
        "python scripts/dataset_statistics.py --manifests {input.manifests:q} "
        "--checks {input.checks:q} --paper {input.paper:q} "
        "--csv {output.csv:q} --markdown {output.markdown:q} "
        "--html {output.html:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule table2:
    """Table 2 of the paper; one file holds Tables 2 and 3."""
    input:
        f"{RUN}/tables/dataset_statistics.csv",


rule table3:
    """Table 3 of the paper; one file holds Tables 2 and 3."""
    input:
        f"{RUN}/tables/dataset_statistics.csv",


# Not part of `all`: the choice of two shares that the paper does not name (methods 2.6).
rule calibrate:
    input:
        trajectories=task_paths(f"{RUN}/trajectories/{{task}}.csv"),
        tables1="workflow/paper/table1.csv",
        tables23="workflow/paper/tables2_3.csv",
    output:
        csv=f"{RUN}/tables/calibration.csv",
        markdown=f"{RUN}/tables/calibration.md",
    log:
        f"{RUN}/logs/calibrate.log",
    benchmark:
        f"{RUN}/benchmarks/calibrate.jsonl"
    conda:
        "../../envs/data.yaml"
    params:
        settings=as_json(
            {name: config[name] for name in ("draws", "split", "source")}
            | {"thresholds": {task: thresholds(config, task) for task in TASKS}}
        ),
        code=code("calibrate"),
    message:
        "Compare the shares that make D_p and D_ref with the paper's tables"
    shell:
        "python scripts/calibrate.py --trajectories {input.trajectories:q} "
        "--tables1 {input.tables1:q} --tables23 {input.tables23:q} "
        "--settings {params.settings:q} --csv {output.csv:q} --markdown {output.markdown:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"
