# The reference policy, the plans, all runs of a plan in one job, and how long each method takes.

os.environ.update(PREFINE_TRAINING=run.how_to_train())


envvars:
    "PREFINE_TRAINING",


rule plan:
    input:
        run.of_task(f"{RUN}/splits/{{task}}.json"),
    output:
        f"{RUN}/plans/{{job}}.csv",
    log:
        f"{RUN}/logs/plan/{{job}}.log",
    benchmark:
        f"{RUN}/benchmarks/plan/{{job}}.jsonl"
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        arm=run.arm,
        settings=run.plan_settings,
        code=run.code("training/plan"),
    message:
        "Plan the runs of {wildcards.job}"
    shell:
        'python "$PREFINE_SCRIPTS" training/plan.py --manifest {input:q} --output {output:q} '
        "--study {params.arm.study} --task {params.arm.task} --method {params.arm.method} "
        "--arm {params.arm.name} --settings {params.settings:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule train:
    input:
        data=run.of_task(f"{RUN}/data/{{task}}.hdf5"),
        trajectories=run.of_task(f"{RUN}/trajectories/{{task}}.csv"),
        splits=run.of_task(f"{RUN}/splits/{{task}}.csv"),
        sizes=run.sized_sets,
        plan=f"{RUN}/plans/{{job}}.csv",
        reference=run.reference_policy,
        task=run.task_file,
    output:
        policies=f"{RUN}/policies/{{job}}.safetensors",
        log=f"{RUN}/training/{{job}}.parquet",
    log:
        f"{RUN}/logs/train/{{job}}.log",
    benchmark:
        f"{RUN}/benchmarks/train/{{job}}.jsonl"
    wildcard_constraints:
        job=one_of(job for job, own in ARMS.items() if own.policies == job and not own.points),
    conda:
        "../../envs/train.yaml"
    threads: config["training"]["threads"]
    resources:
        gpu=GPU,
        mem_mb=8000,
    params:
        task=run.task_argument,
        method=run.method_of,
        settings=run.job_settings,
        state=run.state_of,
        plan=lambda w, input: ["--plan", input.plan] if input.plan else [],
        sizes=lambda w, input: ["--sizes", input.sizes] if input.sizes else [],
        reference=lambda w, input: ["--reference", input.reference] if input.reference else [],
        snapshots=[],
        code=lambda w: run.code("training/train", run.method_of(w)),
    message:
        "Train {wildcards.job}, all runs of a plan at once"
    shell:
        'python "$PREFINE_SCRIPTS" training/train.py '
        "--task {params.task:q} --method {params.method} "
        "--data {input.data:q} --trajectories {input.trajectories:q} --splits {input.splits:q} "
        "{params.plan:q} {params.sizes:q} {params.reference:q} "
        "--settings {params.settings:q} --output {output.policies:q} {params.snapshots:q} "
        "--log {output.log:q} --state {params.state:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


# The reference policy is a run without a plan.
use rule train as pretrain with:
    input:
        data=f"{RUN}/data/{{task}}.hdf5",
        trajectories=f"{RUN}/trajectories/{{task}}.csv",
        splits=f"{RUN}/splits/{{task}}.csv",
        plan=[],
        sizes=[],
        reference=[],
        task=run.task_file,
    output:
        policies=f"{RUN}/reference/{{task}}.safetensors",
        log=f"{RUN}/training/reference/{{task}}.parquet",
    log:
        f"{RUN}/logs/pretrain/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/pretrain/{{task}}.jsonl"
    wildcard_constraints:
        task=one_of(task for task in TASKS if task not in config["own_policy"]),
    resources:
        gpu=GPU,
        mem_mb=4000,
    message:
        "Pretrain the reference policy of {wildcards.task}"


# The same for jobs whose learning is followed: the policies of some iterations, for a while.
use rule train as train_and_follow with:
    output:
        policies=f"{RUN}/policies/{{job}}.safetensors",
        log=f"{RUN}/training/{{job}}.parquet",
        snapshots=kept_or_temp(f"{RUN}/snapshots/{{job}}.safetensors"),
    wildcard_constraints:
        job=one_of(job for job, own in ARMS.items() if own.points),
    params:  # besides those of `train`, as in each `use rule`
        snapshots=lambda w, output: ["--snapshots", output.snapshots],
    message:
        "Train {wildcards.job}, all runs at once, and keep policies on the way"


# Every method alone on the machine: all cores are taken, and the GPU.
rule timing:
    input:
        data=f"{RUN}/data/{run.timed_task}.hdf5",
        trajectories=f"{RUN}/trajectories/{run.timed_task}.csv",
        splits=f"{RUN}/splits/{run.timed_task}.csv",
        reference=f"{RUN}/reference/{run.timed_task}.safetensors",
        task=f"{RUN}/tasks/{run.timed_task}.json" if run.own_data else [],
    output:
        f"{RUN}/tables/timing.csv",
    log:
        f"{RUN}/logs/timing.log",
    benchmark:
        f"{RUN}/benchmarks/timing.jsonl"
    conda:
        "../../envs/train.yaml"
    threads: workflow.resource_settings.cores or 1
    resources:
        gpu=GPU,
        mem_mb=8000,
    params:
        task=lambda w, input: input.get("task") or run.timed_task,
        tau=run.timed_tau(),
        settings=run.timing_blocks(),
        methods=lambda w: as_json(run.timed_settings()),
        code=run.code("training/timing", *run.timed_settings()),
    message:
        "Time every method, one after another, with nothing beside"
    shell:
        'python "$PREFINE_SCRIPTS" training/timing.py --task {params.task:q} --data {input.data:q} '
        "--trajectories {input.trajectories:q} --splits {input.splits:q} "
        "--reference {input.reference:q} {params.tau} --settings {params.settings:q} "
        "--methods {params.methods:q} --output {output:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


# Not part of `all`: training logs for those who like to look at them in TensorBoard.
rule tensorboard:
    input:
        run.all_training(),
    output:
        directory(f"{RUN}/tensorboard"),
    log:
        f"{RUN}/logs/tensorboard.log",
    benchmark:
        f"{RUN}/benchmarks/tensorboard.jsonl"
    conda:
        "../../envs/tensorboard.yaml"
    params:
        code=run.code("training/event_files"),
    message:
        "Training logs as TensorBoard events"
    shell:
        'python "$PREFINE_SCRIPTS" training/event_files.py --logs {input:q} --output {output:q} '
        ">> {log:q} 2> >(tee -a {log:q} >&2)"
