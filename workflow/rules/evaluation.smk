# Rollouts, and what policies would have cost in the data's states (Figure 2); overlap (Figure 13).

CURVE_EPISODES = config["evaluation"]["curves"]["episodes"]


rule evaluate_reference:
    input:
        policies=f"{RUN}/reference/{{task}}.safetensors",
        plan=[],
        mixed_with=[],
        module=run.own_module,
    output:
        f"{RUN}/episodes/reference/{{task}}.parquet",
    log:
        f"{RUN}/logs/evaluate/reference/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/evaluate/reference/{{task}}.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    threads: config["evaluation"]["workers"]
    resources:
        mem_mb=1500 + 2500 * config["evaluation"]["workers"],
    params:
        settings=lambda w: run.evaluation_settings(w),
        plan=lambda w, input: ["--plan", input.plan] if input.plan else [],
        mixed_with=lambda w, input: (["--mixed-with", input.mixed_with] if input.mixed_with else []),
        code=run.code("evaluation/evaluate"),
    message:
        "Roll out the reference policy of {wildcards.task}"
    shell:
        'python "$PREFINE_SCRIPTS" evaluation/evaluate.py '
        "--policies {input.policies:q} {params.plan:q} {params.mixed_with:q} "
        "--module {input.module:q} --settings {params.settings:q} --workers {threads} "
        "--output {output:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


use rule evaluate_reference as evaluate with:
    input:
        policies=lambda w: f"{RUN}/policies/{run.arm(w).policies}.safetensors",
        plan=run.other_plan,
        mixed_with=run.mixed_with,
        made=run.before_they_go,
        module=run.own_module,
    output:
        f"{RUN}/episodes/{{job}}.parquet",
    log:
        f"{RUN}/logs/evaluate/{{job}}.log",
    benchmark:
        f"{RUN}/benchmarks/evaluate/{{job}}.jsonl"
    message:
        "Roll out {wildcards.job}"


# Other episodes, by which a policy or a setting is chosen.
use rule evaluate_reference as validate_reference with:
    output:
        f"{RUN}/validation/reference/{{task}}.parquet",
    log:
        f"{RUN}/logs/validate/reference/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/validate/reference/{{task}}.jsonl"
    params:
        settings=run.validation_settings,
    message:
        "Roll out the policy of {wildcards.task} on validation episodes"


use rule evaluate_reference as validate with:
    input:
        policies=lambda w: f"{RUN}/policies/{run.arm(w).policies}.safetensors",
        plan=run.other_plan,
        mixed_with=run.mixed_with,
        module=run.own_module,
    output:
        f"{RUN}/validation/{{job}}.parquet",
    log:
        f"{RUN}/logs/validate/{{job}}.log",
    benchmark:
        f"{RUN}/benchmarks/validate/{{job}}.jsonl"
    params:
        settings=run.validation_settings,
    message:
        "Roll out {wildcards.job} on validation episodes"


# Learning curves: fewer episodes of the policies on the way.
use rule evaluate_reference as evaluate_curve with:
    input:
        policies=f"{RUN}/snapshots/{{job}}.safetensors",
        plan=[],
        mixed_with=[],
        module=run.own_module,
    output:
        f"{RUN}/curves/{{job}}.parquet",
    log:
        f"{RUN}/logs/curves/{{job}}.log",
    benchmark:
        f"{RUN}/benchmarks/curves/{{job}}.jsonl"
    wildcard_constraints:
        job=one_of(job for job, own in ARMS.items() if own.points),
    params:
        settings=lambda w: run.evaluation_settings(w, CURVE_EPISODES),
    message:
        "Roll out the policies on the way of {wildcards.job}"


rule cost_gap:
    input:
        policies=f"{RUN}/snapshots/main/{{task}}/prefine.safetensors",
        data=f"{RUN}/data/{{task}}.hdf5",
        trajectories=f"{RUN}/trajectories/{{task}}.csv",
        splits=f"{RUN}/splits/{{task}}.csv",
        module=run.own_module,
    output:
        f"{RUN}/cost_gap/{{task}}.csv",
    log:
        f"{RUN}/logs/cost_gap/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/cost_gap/{{task}}.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=4000,
    params:
        source=config["source"],
        settings=run.cost_gap_settings,
        code=run.code("evaluation/cost_gap"),
    message:
        "Cost gap of the policies on the way of {wildcards.task}"
    shell:
        'python "$PREFINE_SCRIPTS" evaluation/cost_gap.py --policies {input.policies:q} '
        "--data {input.data:q} --trajectories {input.trajectories:q} --splits {input.splits:q} "
        "--module {input.module:q} --source {params.source} --settings {params.settings:q} "
        "--output {output:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule overlap:
    input:
        data=f"{RUN}/data/{{task}}.hdf5",
        trajectories=f"{RUN}/trajectories/{{task}}.csv",
        splits=f"{RUN}/splits/{{task}}.csv",
        manifest=f"{RUN}/splits/{{task}}.json",
        task=run.task_file,
    output:
        points=f"{RUN}/overlap/{{task}}.csv",
        numbers=f"{RUN}/overlap/{{task}}.json",
    log:
        f"{RUN}/logs/overlap/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/overlap/{{task}}.jsonl"
    conda:
        "../../envs/overlap.yaml"
    threads: 1
    resources:
        mem_mb=4000,
    params:
        task=run.task_argument,
        settings=run.overlap_settings,
        code=run.code("evaluation/overlap"),
    message:
        "Lay out states of D_p and D_np of {wildcards.task}"
    shell:
        'python "$PREFINE_SCRIPTS" evaluation/overlap.py '
        "--task {params.task:q} --data {input.data:q} "
        "--trajectories {input.trajectories:q} --splits {input.splits:q} "
        "--manifest {input.manifest:q} --settings {params.settings:q} "
        "--points {output.points:q} --numbers {output.numbers:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"
