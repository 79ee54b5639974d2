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
        of_task(f"{RUN}/splits/{{task}}.json"),
    output:
        f"{RUN}/plans/{{job}}.csv",
    log:
        f"{RUN}/logs/plan/{{job}}.log",
    benchmark:
        f"{RUN}/benchmarks/plan/{{job}}.jsonl"
    conda:
        "../../envs/data.yaml"
    params:
        arm=arm,
        settings=lambda w: as_json({"rows": arm(w).rows, "variants": arm(w).variants}),
        code=code("plan"),
    message:
        "Plan the runs of {wildcards.job}"
    shell:
        "python scripts/plan.py --manifest {input:q} --output {output:q} "
        "--study {params.arm.study} --task {params.arm.task} --method {params.arm.method} "
        "--arm {params.arm.name} --settings {params.settings:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule train:
    input:
        data=of_task(f"{RUN}/data/{{task}}.hdf5"),
        trajectories=of_task(f"{RUN}/trajectories/{{task}}.csv"),
        splits=of_task(f"{RUN}/splits/{{task}}.csv"),
        sizes=sized_sets,
        plan=f"{RUN}/plans/{{job}}.csv",
        reference=reference_policy,
        task=task_file,
    output:
        policies=piece(f"{RUN}/policies/{{job}}.safetensors"),
        log=piece(f"{RUN}/training/{{job}}.parquet"),
    log:
        f"{RUN}/logs/train/{{job}}{PIECE}.log",
    benchmark:
        f"{RUN}/benchmarks/train/{{job}}{PIECE}.jsonl"
    wildcard_constraints:
        job=one_of(job for job, own in ARMS.items() if own.policies == job and not own.points),
        part=r"\d+",
    conda:
        "../../envs/train.yaml"
    threads: config["training"]["threads"]
    resources:
        gpu=GPU,
        mem_mb=8000,
    params:
        task=task_argument,
        method=method_of,
        settings=training_settings,
        state=state_folder,
        sizes=lambda w, input: ["--sizes", input.sizes] if input.sizes else [],
        reference=lambda w, input: ["--reference", input.reference] if input.reference else [],
        part=part_argument,
        snapshots=[],
        code=lambda w: code("train", method_file(method_of(w))),
    message:
        "Train {wildcards.job}, all runs of a plan or of a part of it at once"
    shell:
        "python scripts/train.py --task {params.task:q} --method {params.method} "
        "--data {input.data:q} --trajectories {input.trajectories:q} --splits {input.splits:q} "
        "--plan {input.plan:q} {params.part} {params.sizes:q} {params.reference:q} "
        "--settings {params.settings:q} --output {output.policies:q} {params.snapshots:q} "
        "--log {output.log:q} --state {params.state:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


# The same for jobs whose learning is followed: the policies of some iterations, for a while.
use rule train as train_and_follow with:
    output:
        policies=piece(f"{RUN}/policies/{{job}}.safetensors"),
        log=piece(f"{RUN}/training/{{job}}.parquet"),
        snapshots=(
            kept_or_temp(f"{RUN}/snapshots/{{job}}.safetensors")
            if PARTS == 1
            else piece(f"{RUN}/snapshots/{{job}}.safetensors")
        ),
    wildcard_constraints:
        job=one_of(job for job, own in ARMS.items() if own.points),
        part=r"\d+",
    params:
        task=task_argument,
        method=method_of,
        settings=training_settings,
        state=state_folder,
        sizes=lambda w, input: ["--sizes", input.sizes] if input.sizes else [],
        reference=lambda w, input: ["--reference", input.reference] if input.reference else [],
        part=part_argument,
        snapshots=lambda w, output: ["--snapshots", output.snapshots],
        code=lambda w: code("train", method_file(method_of(w))),
    message:
        "Train {wildcards.job}, all runs at once, and keep policies on the way"


if PARTS > 1:

    rule join:
        input:
            policies=pieces("policies", "safetensors"),
            logs=pieces("training", "parquet"),
            snapshots=[],
        output:
            policies=f"{RUN}/policies/{{job}}.safetensors",
            log=f"{RUN}/training/{{job}}.parquet",
        log:
            f"{RUN}/logs/join/{{job}}.log",
        benchmark:
            f"{RUN}/benchmarks/join/{{job}}.jsonl"
        wildcard_constraints:
            job=one_of(job for job, own in ARMS.items() if own.policies == job and not own.points),
        localrule: True  # seconds
        conda:
            "../../envs/train.yaml"
        params:
            snapshots=[],
            code=code("join"),
        message:
            "Join the parts of {wildcards.job}"
        shell:
            "python scripts/join.py --policies {input.policies:q} --logs {input.logs:q} "
            "{params.snapshots:q} --output {output.policies:q} --log {output.log:q} "
            ">> {log:q} 2> >(tee -a {log:q} >&2)"

    use rule join as join_and_follow with:
        input:
            policies=pieces("policies", "safetensors"),
            logs=pieces("training", "parquet"),
            snapshots=pieces("snapshots", "safetensors"),
        output:
            policies=f"{RUN}/policies/{{job}}.safetensors",
            log=f"{RUN}/training/{{job}}.parquet",
            snapshots=kept_or_temp(f"{RUN}/snapshots/{{job}}.safetensors"),
        wildcard_constraints:
            job=one_of(job for job, own in ARMS.items() if own.points),
        params:
            snapshots=lambda w, input, output: [
                *("--snapshots", *input.snapshots, "--joined-snapshots", output.snapshots)
            ],
            code=code("join"),
        message:
            "Join the parts of {wildcards.job} and its policies on the way"


# Not part of `all`: training logs for those who like to look at them in TensorBoard.
rule tensorboard:
    input:
        all_training(),
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
