# Policies of the user's own: pi_ref from a file, the choice, before and after.


rule import_policy:
    input:
        policy=run.own_policy_files,
        data=f"{RUN}/data/{{task}}.hdf5",
        task=run.task_file,
        module=run.own_module,
    output:
        policy=f"{RUN}/reference/{{task}}.safetensors",
        log=f"{RUN}/training/reference/{{task}}.parquet",
    log:
        f"{RUN}/logs/import_policy/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/import_policy/{{task}}.jsonl"
    wildcard_constraints:
        task=one_of(run.own_policies),
    conda:
        "../../envs/collect.yaml"
    threads: config["training"]["threads"]
    resources:
        mem_mb=4000,
    params:
        task=run.task_argument,
        policy=lambda w: as_json(run.own_policies[w.task]),
        settings=run.distil_settings,
        code=run.code("own_policy/import_policy"),
    message:
        "Take the policy of {wildcards.task} as it is, or distil it"
    shell:
        'python "$PREFINE_SCRIPTS" own_policy/import_policy.py '
        "--task {params.task:q} --policy {params.policy:q} "
        "--data {input.data:q} "
        "--settings {params.settings:q} --output {output.policy:q} --log {output.log:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule validate_own:
    input:
        policy=run.own_policy_files,
        reference=f"{RUN}/reference/{{task}}.safetensors",
        module=run.own_module,
    output:
        f"{RUN}/validation/own_policy/{{task}}.parquet",
    log:
        f"{RUN}/logs/validate/own_policy/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/validate/own_policy/{{task}}.jsonl"
    conda:
        "../../envs/collect.yaml"
    threads: config["evaluation"]["workers"]
    resources:
        mem_mb=1500 + 2500 * config["evaluation"]["workers"],
    params:
        policy=lambda w: as_json(run.own_policies[w.task]),
        settings=run.validation_settings,
        code=run.code("own_policy/validate"),
    message:
        "Play the policy of {wildcards.task} on validation episodes"
    shell:
        'python "$PREFINE_SCRIPTS" own_policy/validate.py '
        "--reference {input.reference:q} --policy {params.policy:q} --settings {params.settings:q} "
        "--workers {threads} --output {output:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule choose:
    input:
        before=f"{RUN}/validation/own_policy/{{task}}.parquet",
        episodes=lambda w: run.candidate_paths(w, "validation", "parquet"),
        plans=lambda w: run.candidate_paths(w, "plans", "csv"),
    output:
        choice=f"{RUN}/choice/{{task}}.json",
        table=f"{RUN}/choice/{{task}}.csv",
    log:
        f"{RUN}/logs/choose/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/choose/{{task}}.jsonl"
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        settings=run.choice_settings,
        code=run.code("own_policy/choose"),
    message:
        "Choose beta, lambda and the policy of {wildcards.task}"
    shell:
        'python "$PREFINE_SCRIPTS" own_policy/choose.py '
        "--before {input.before:q} --episodes {input.episodes:q} "
        "--plans {input.plans:q} --settings {params.settings:q} --output {output.choice:q} "
        "--table {output.table:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule compare:
    input:
        policy=run.own_policy_files,
        choice=f"{RUN}/choice/{{task}}.json",
        policies=lambda w: run.candidate_paths(w, "policies", "safetensors"),
        reference=f"{RUN}/reference/{{task}}.safetensors",
        control=run.control_policies,
        module=run.own_module,
    output:
        episodes=f"{RUN}/episodes/{{task}}/before_after.parquet",
    log:
        f"{RUN}/logs/compare/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/compare/{{task}}.jsonl"
    conda:
        "../../envs/collect.yaml"
    threads: config["evaluation"]["workers"]
    resources:
        mem_mb=1500 + 2500 * config["evaluation"]["workers"],
    params:
        policies=f"{RUN}/policies",
        policy=lambda w: as_json(run.own_policies[w.task]),
        control=lambda w, input: ["--control", input.control] if input.control else [],
        settings=lambda w: run.evaluation_settings(w),
        code=run.code("own_policy/compare"),
    message:
        "Play {wildcards.task} before and after on the same episodes"
    shell:
        'python "$PREFINE_SCRIPTS" own_policy/compare.py '
        "--choice {input.choice:q} --policies {params.policies:q} "
        "--reference {input.reference:q} --policy {params.policy:q} {params.control:q} "
        "--settings {params.settings:q} "
        "--workers {threads} --output {output.episodes:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule before_after:
    input:
        episodes=run.task_paths(f"{RUN}/episodes/{{task}}/before_after.parquet"),
        choices=run.task_paths(f"{RUN}/choice/{{task}}.json"),
    output:
        csv=f"{RUN}/tables/before_after.csv",
        markdown=f"{RUN}/tables/before_after.md",
    log:
        f"{RUN}/logs/before_after.log",
    benchmark:
        f"{RUN}/benchmarks/before_after.jsonl"
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        code=run.code("own_policy/before_after"),
    message:
        "Before and after, with intervals"
    shell:
        'python "$PREFINE_SCRIPTS" own_policy/before_after.py '
        "--episodes {input.episodes:q} --choices {input.choices:q} "
        "--csv {output.csv:q} --markdown {output.markdown:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule export_chosen:
    input:
        choice=f"{RUN}/choice/{{task}}.json",
        policies=lambda w: run.candidate_paths(w, "policies", "safetensors"),
        episodes=f"{RUN}/episodes/{{task}}/before_after.parquet",
        manifest=f"{RUN}/splits/{{task}}.json",
        film=f"{RUN}/films/{{task}}",
    output:
        multiext(f"{RUN}/export/{{task}}/policy", ".safetensors", ".onnx"),
        card=f"{RUN}/export/{{task}}/README.md",
    log:
        f"{RUN}/logs/export/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/export/{{task}}.jsonl"
    conda:
        "../../envs/export.yaml"
    params:
        folder=f"{RUN}/export/{{task}}",
        policies=f"{RUN}/policies",
        source=run.data_note(),
        code=run.code("own_policy/export_chosen"),
    message:
        "Export the chosen policy of {wildcards.task}"
    shell:
        'python "$PREFINE_SCRIPTS" own_policy/export_chosen.py '
        "--choice {input.choice:q} "
        "--policies {params.policies:q} --episodes {input.episodes:q} "
        "--manifest {input.manifest:q} --film {input.film:q} --source {params.source:q} --output {params.folder:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"
