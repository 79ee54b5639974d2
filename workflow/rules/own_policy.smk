# Policies of the user's own: pi_ref from a file, labels, the choice, and before and after.

OWN_POLICIES = config["own_policy"]
BEFORE_AFTER = [f"{RUN}/episodes/{task}/before_after.parquet" for task in OWN_POLICIES]
CHOICES = [f"{RUN}/choice/{task}.json" for task in OWN_POLICIES]


rule import_policy:
    input:
        policy=lambda w: own_policy_files(w.task),
        data=f"{RUN}/data/{{task}}.hdf5",
        task=task_file,
        module=own_module,
    output:
        policy=f"{RUN}/reference/{{task}}.safetensors",
        log=f"{RUN}/training/reference/{{task}}.parquet",
    log:
        f"{RUN}/logs/import_policy/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/import_policy/{{task}}.jsonl"
    wildcard_constraints:
        task=one_of(OWN_POLICIES),
    conda:
        "../../envs/policy.yaml"
    threads: config["training"]["threads"]
    resources:
        mem_mb=4000,
    params:
        task=task_argument,
        policy=lambda w: as_json(OWN_POLICIES[w.task]),
        environment=lambda w: as_json(own_entry(w.task)),
        settings=lambda w: distil_settings(w.task),
        code=code("import_policy"),
    message:
        "Take the policy of {wildcards.task} as it is, or distil it"
    shell:
        "python scripts/import_policy.py --task {params.task:q} --policy {params.policy:q} "
        "--environment {params.environment:q} --data {input.data:q} "
        "--settings {params.settings:q} --output {output.policy:q} --log {output.log:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule label_sheet:
    input:
        data=f"{RUN}/data/{{task}}.hdf5",
        trajectories=f"{RUN}/trajectories/{{task}}.csv",
        task=task_file,
    output:
        sheet=f"{RUN}/labels/{{task}}.csv",
        page=f"{RUN}/labels/{{task}}.html",
    log:
        f"{RUN}/logs/label_sheet/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/label_sheet/{{task}}.jsonl"
    conda:
        "../../envs/data.yaml"
    params:
        task=task_argument,
        axes=lambda w: as_json(config["sheet_axes"].get(w.task, [0, 1])),
        code=code("label_sheet"),
    message:
        "Lay out the trajectories of {wildcards.task} to be labelled"
    shell:
        "python scripts/label_sheet.py --task {params.task:q} --data {input.data:q} "
        "--trajectories {input.trajectories:q} --axes {params.axes:q} "
        "--output {output.sheet:q} --page {output.page:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


# All sheets; `snakemake label_sheets` stops before anybody has to label.
rule label_sheets:
    input:
        task_paths(f"{RUN}/labels/{{task}}.html"),


use rule evaluate_reference as validate_reference with:
    output:
        f"{RUN}/validation/reference/{{task}}.parquet",
    log:
        f"{RUN}/logs/validate/reference/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/validate/reference/{{task}}.jsonl"
    params:
        settings=lambda w: validation_settings(w),
        plan=[],
        code=code("evaluate"),
    message:
        "Roll out the policy of {wildcards.task} on validation episodes"


use rule evaluate_reference as validate with:
    input:
        policies=f"{RUN}/policies/{{job}}.safetensors",
        plan=[],
        module=own_module,
    output:
        f"{RUN}/validation/{{job}}.parquet",
    log:
        f"{RUN}/logs/validate/{{job}}.log",
    benchmark:
        f"{RUN}/benchmarks/validate/{{job}}.jsonl"
    params:
        settings=lambda w: validation_settings(w),
        plan=[],
        code=code("evaluate"),
    message:
        "Roll out {wildcards.job} on validation episodes"


rule choose:
    input:
        before=f"{RUN}/validation/reference/{{task}}.parquet",
        episodes=lambda w: candidate_paths(w.task, f"{RUN}/validation/{{job}}.parquet"),
        plans=lambda w: candidate_paths(w.task, f"{RUN}/plans/{{job}}.csv"),
    output:
        choice=f"{RUN}/choice/{{task}}.json",
        table=f"{RUN}/choice/{{task}}.csv",
    log:
        f"{RUN}/logs/choose/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/choose/{{task}}.jsonl"
    conda:
        "../../envs/data.yaml"
    params:
        settings=lambda w: as_json(
            config["choose"] | {"usual": hyperparameters(config, "prefine", w.task)}
        ),
        code=code("choose"),
    message:
        "Choose beta, lambda and the policy of {wildcards.task}"
    shell:
        "python scripts/choose.py --before {input.before:q} --episodes {input.episodes:q} "
        "--plans {input.plans:q} --settings {params.settings:q} --output {output.choice:q} "
        "--table {output.table:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule compare:
    input:
        policy=lambda w: own_policy_files(w.task),
        choice=f"{RUN}/choice/{{task}}.json",
        policies=lambda w: candidate_paths(w.task, f"{RUN}/policies/{{job}}.safetensors"),
        reference=f"{RUN}/reference/{{task}}.safetensors",
        control=control_policies,
        module=own_module,
    output:
        episodes=f"{RUN}/episodes/{{task}}/before_after.parquet",
        box=f"{RUN}/choice/{{task}}_box.json",
    log:
        f"{RUN}/logs/compare/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/compare/{{task}}.jsonl"
    conda:
        "../../envs/policy.yaml"
    threads: config["evaluation"]["workers"]
    resources:
        mem_mb=4000,
    params:
        policies=f"{RUN}/policies",
        policy=lambda w: as_json(OWN_POLICIES[w.task]),
        environment=lambda w: as_json(own_entry(w.task)),
        control=lambda w, input: ["--control", input.control] if input.control else [],
        settings=lambda w: evaluation_settings(w, config["evaluation"]["episodes"]),
        code=code("compare"),
    message:
        "Play {wildcards.task} before and after on the same episodes"
    shell:
        "python scripts/compare.py --choice {input.choice:q} --policies {params.policies:q} "
        "--reference {input.reference:q} --policy {params.policy:q} {params.control:q} "
        "--environment {params.environment:q} --settings {params.settings:q} "
        "--workers {threads} --output {output.episodes:q} --box {output.box:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule before_after:
    input:
        episodes=BEFORE_AFTER,
        choices=CHOICES,
    output:
        csv=f"{RUN}/tables/before_after.csv",
        html=report(
            f"{RUN}/tables/before_after.html",
            caption="../report/before_after.rst",
            category=section("Your policy"),
            labels={"item": "Before and after"},
        ),
        markdown=f"{RUN}/tables/before_after.md",
    log:
        f"{RUN}/logs/before_after.log",
    benchmark:
        f"{RUN}/benchmarks/before_after.jsonl"
    conda:
        "../../envs/data.yaml"
    params:
        code=code("before_after"),
    message:
        "Before and after, with intervals"
    shell:
        "python scripts/before_after.py --episodes {input.episodes:q} --choices {input.choices:q} "
        "--csv {output.csv:q} --html {output.html:q} --markdown {output.markdown:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule fig_before_after:
    input:
        episodes=BEFORE_AFTER,
        choices=CHOICES,
        candidates=[f"{RUN}/choice/{task}.csv" for task in OWN_POLICIES],
    output:
        png=report(
            f"{RUN}/figures/before_after.png",
            caption="../report/fig_before_after.rst",
            category=section("Your policy"),
            labels={"item": "Figure: return against cost"},
        ),
        others=multiext(f"{RUN}/figures/before_after", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/fig_before_after.log",
    benchmark:
        f"{RUN}/benchmarks/fig_before_after.jsonl"
    conda:
        "../../envs/plot.yaml"
    params:
        source=data_note(),
        code=code("fig_before_after"),
    message:
        "Return against cost, before and after"
    shell:
        "python scripts/fig_before_after.py --episodes {input.episodes:q} "
        "--choices {input.choices:q} --candidates {input.candidates:q} "
        "--source {params.source:q} --output {output.png:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule fig_cost_per_step:
    input:
        BEFORE_AFTER,
    output:
        png=report(
            f"{RUN}/figures/cost_per_step.png",
            caption="../report/fig_cost_per_step.rst",
            category=section("Your policy"),
            labels={"item": "Figure: cost of each step"},
        ),
        others=multiext(f"{RUN}/figures/cost_per_step", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/fig_cost_per_step.log",
    benchmark:
        f"{RUN}/benchmarks/fig_cost_per_step.jsonl"
    conda:
        "../../envs/plot.yaml"
    params:
        source=data_note(),
        code=code("fig_cost_per_step"),
    message:
        "Cost of each step, before and after"
    shell:
        "python scripts/fig_cost_per_step.py --episodes {input:q} --source {params.source:q} "
        "--output {output.png:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule fig_own_learning:
    input:
        choices=CHOICES,
        curves=[
            path
            for task in OWN_POLICIES
            for path in candidate_paths(task, f"{RUN}/curves/{{job}}.parquet", followed=True)
        ],
    output:
        png=report(
            f"{RUN}/figures/own_learning.png",
            caption="../report/fig_own_learning.rst",
            category=section("Your policy"),
            labels={"item": "Figure: while it was fine-tuned"},
        ),
        others=multiext(f"{RUN}/figures/own_learning", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/fig_own_learning.log",
    benchmark:
        f"{RUN}/benchmarks/fig_own_learning.jsonl"
    conda:
        "../../envs/plot.yaml"
    params:
        source=data_note(),
        curves=as_json(
            {
                task: candidate_paths(task, f"{RUN}/curves/{{job}}.parquet", followed=True)
                for task in OWN_POLICIES
            }
        ),
        code=code("fig_own_learning"),
    message:
        "Return and cost while the policies were fine-tuned"
    shell:
        "python scripts/fig_own_learning.py --choices {input.choices:q} "
        "--curves {params.curves:q} --source {params.source:q} --output {output.png:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule export_chosen:
    input:
        choice=f"{RUN}/choice/{{task}}.json",
        box=f"{RUN}/choice/{{task}}_box.json",
        policies=lambda w: candidate_paths(w.task, f"{RUN}/policies/{{job}}.safetensors"),
        episodes=f"{RUN}/episodes/{{task}}/before_after.parquet",
        manifest=f"{RUN}/splits/{{task}}.json",
    output:
        multiext(f"{RUN}/export/{{task}}/policy", ".safetensors", ".onnx", ".pt"),
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
        source=data_note(),
        code=code("export_chosen"),
    message:
        "Export the chosen policy of {wildcards.task}"
    shell:
        "python scripts/export_chosen.py --choice {input.choice:q} --box {input.box:q} "
        "--policies {params.policies:q} --episodes {input.episodes:q} "
        "--manifest {input.manifest:q} --source {params.source:q} --output {params.folder:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"
