# The reference policy, the plans, and all runs of a plan in one job.


rule pretrain:
    input:
        data=f"{RUN}/data/{{task}}.hdf5",
        trajectories=f"{RUN}/trajectories/{{task}}.csv",
        splits=f"{RUN}/splits/{{task}}.csv",
        task=task_file,
    output:
        policy=f"{RUN}/reference/{{task}}.safetensors",
        log=f"{RUN}/training/reference/{{task}}.parquet",
    log:
        f"{RUN}/logs/pretrain/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/pretrain/{{task}}.jsonl"
    conda:
        "../../envs/train.yaml"
    threads: config["training"]["threads"]
    resources:
        gpu=GPU,
        mem_mb=4000,
    params:
        task=task_argument,
        settings=training_settings,
        state=state_folder,
        code=code("train", method_file(REFERENCE)),
    message:
        "Pretrain the reference policy of {wildcards.task}"
    shell:
        "python scripts/train.py --task {params.task:q} --method reference "
        "--data {input.data:q} --trajectories {input.trajectories:q} --splits {input.splits:q} "
        "--settings {params.settings:q} --output {output.policy:q} --log {output.log:q} "
        "--state {params.state:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule plan:
    input:
        f"{RUN}/splits/{{task}}.json",
    output:
        f"{RUN}/plans/{{study}}/{{task}}/{{method}}.csv",
    log:
        f"{RUN}/logs/plan/{{study}}/{{task}}/{{method}}.log",
    benchmark:
        f"{RUN}/benchmarks/plan/{{study}}/{{task}}/{{method}}.jsonl"
    conda:
        "../../envs/data.yaml"
    params:
        settings=lambda w: as_json(
            {name: config[name] for name in ("draws", "seeds", "pairing")}
            | {"sees": method_constant(w.method, "SEES")}
            | {"hyperparameters": configuration.hyperparameters(config, w.method, w.task)}
        ),
        code=code("plan"),
    message:
        "Plan the runs of {wildcards.study}: {wildcards.method} on {wildcards.task}"
    shell:
        "python scripts/plan.py --manifest {input:q} --output {output:q} "
        "--study {wildcards.study} --task {wildcards.task} --method {wildcards.method} "
        "--settings {params.settings:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule train:
    input:
        data=f"{RUN}/data/{{task}}.hdf5",
        trajectories=f"{RUN}/trajectories/{{task}}.csv",
        splits=f"{RUN}/splits/{{task}}.csv",
        plan=f"{RUN}/plans/{{study}}/{{task}}/{{method}}.csv",
        reference=reference_policy,
        task=task_file,
    output:
        policies=f"{RUN}/policies/{{study}}/{{task}}/{{method}}.safetensors",
        log=f"{RUN}/training/{{study}}/{{task}}/{{method}}.parquet",
    log:
        f"{RUN}/logs/train/{{study}}/{{task}}/{{method}}.log",
    benchmark:
        f"{RUN}/benchmarks/train/{{study}}/{{task}}/{{method}}.jsonl"
    conda:
        "../../envs/train.yaml"
    threads: config["training"]["threads"]
    resources:
        gpu=GPU,
        mem_mb=8000,
    params:
        task=task_argument,
        settings=training_settings,
        state=state_folder,
        reference=lambda w, input: ["--reference", input.reference] if input.reference else [],
        code=lambda w: code("train", method_file(w.method)),
    message:
        "Train {wildcards.study}: {wildcards.method} on {wildcards.task}, all runs at once"
    shell:
        "python scripts/train.py --task {params.task:q} --method {wildcards.method} "
        "--data {input.data:q} --trajectories {input.trajectories:q} --splits {input.splits:q} "
        "--plan {input.plan:q} {params.reference:q} --settings {params.settings:q} "
        "--output {output.policies:q} --log {output.log:q} --state {params.state:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


# Not part of `all`: training logs for those who like to look at them in TensorBoard.
rule tensorboard:
    input:
        task_paths(f"{RUN}/training/reference/{{task}}.parquet"),
        [
            path
            for study in STUDIES
            for path in study_paths(f"{RUN}/training/{{study}}/{{task}}/{{method}}.parquet", study)
        ],
    output:
        directory(f"{RUN}/tensorboard"),
    log:
        f"{RUN}/logs/tensorboard.log",
    benchmark:
        f"{RUN}/benchmarks/tensorboard.jsonl"
    conda:
        "../../envs/tensorboard.yaml"
    params:
        code=code("event_files"),
    message:
        "Training logs as TensorBoard events"
    shell:
        "python scripts/event_files.py --logs {input:q} --output {output:q} >> {log:q} 2> >(tee -a {log:q} >&2)"
