# The sets of trajectories: D_ref, D_p and D_np, by cost thresholds or by labels.


rule split:
    input:
        data=f"{RUN}/data/{{task}}.hdf5",
        trajectories=f"{RUN}/trajectories/{{task}}.csv",
        reuse=run.splits_of_another_run,
        labels=run.labels_file,
        fingerprints=run.fingerprints,
        task=run.task_file,
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
        task=run.task_argument,
        source=config["source"],
        reuse=lambda w, input: ["--reuse", *input.reuse] if input.reuse else [],
        labels=run.labels_arguments,
        settings=lambda w: run.split_settings(w.task),
        code=run.code("preferences/split"),
    message:
        "Split {wildcards.task} by its thresholds"
    shell:
        'python "$PREFINE_SCRIPTS" preferences/split.py '
        "--task {params.task:q} --data {input.data:q} "
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
        labels=run.labels_file,
        fingerprints=run.fingerprints,
        task=run.task_file,
    output:
        splits=f"{RUN}/splits/sizes/{{task}}.csv",
        manifest=f"{RUN}/splits/sizes/{{task}}.json",
    log:
        f"{RUN}/logs/split/sizes/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/split/sizes/{{task}}.jsonl"
    params:
        settings=lambda w: run.split_settings(w.task, sizes=True),
    message:
        "Split {wildcards.task} into sets of other sizes"


rule label_sheet:
    input:
        data=f"{RUN}/data/{{task}}.hdf5",
        trajectories=f"{RUN}/trajectories/{{task}}.csv",
        task=run.task_file,
    output:
        page=f"{RUN}/labels/{{task}}.html",
        fingerprints=f"{RUN}/trajectories/{{task}}_fingerprints.csv",
    log:
        f"{RUN}/logs/label_sheet/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/label_sheet/{{task}}.jsonl"
    conda:
        "../../envs/data.yaml"
    params:
        task=run.task_argument,
        sheet=f"{RUN}/labels/{{task}}.csv",  # no output: what a person wrote there stays
        labels=run.own_labels,
        axes=lambda w: as_json(config["sheet_axes"].get(w.task)),
        code=run.code("preferences/label_sheet"),
    message:
        "Lay out the trajectories of {wildcards.task} to be labelled"
    shell:
        'python "$PREFINE_SCRIPTS" preferences/label_sheet.py '
        "--task {params.task:q} --data {input.data:q} "
        "--trajectories {input.trajectories:q} --axes {params.axes:q} "
        "--sheet {params.sheet:q} --page {output.page:q} "
        "--fingerprints {output.fingerprints:q} {params.labels:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


# All sheets; `snakemake label_sheets` stops before anybody has to label.
rule label_sheets:
    input:
        run.task_paths(f"{RUN}/labels/{{task}}.html"),


# Not part of `all`: the choice of two shares that the paper does not name (methods 2.6).
rule calibrate:
    input:
        trajectories=run.task_paths(f"{RUN}/trajectories/{{task}}.csv"),
        tables1=PAPER / "table1.csv",
        tables23=PAPER / "tables2_3.csv",
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
        settings=run.calibration_settings(),
        code=run.code("analysis/calibrate"),
    message:
        "Compare the shares that make D_p and D_ref with the paper's tables"
    shell:
        'python "$PREFINE_SCRIPTS" analysis/calibrate.py --trajectories {input.trajectories:q} '
        "--tables1 {input.tables1:q} --tables23 {input.tables23:q} "
        "--settings {params.settings:q} --csv {output.csv:q} --markdown {output.markdown:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"
