# Rollouts, one row a run, Table 1 and the paper's claims.


rule evaluate_reference:
    input:
        policies=f"{RUN}/reference/{{task}}.safetensors",
        plan=[],
        module=own_module,
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
        mem_mb=1500 + 2500 * config["evaluation"]["workers"],  # benchmarks/memory.py
    params:
        settings=lambda w: evaluation_settings(w, config["evaluation"]["episodes"]),
        plan=lambda w, input: ["--plan", input.plan] if input.plan else [],
        code=code("evaluate"),
    message:
        "Roll out the reference policy of {wildcards.task}"
    shell:
        "python scripts/evaluate.py --policies {input.policies:q} {params.plan:q} "
        "--module {input.module:q} --settings {params.settings:q} --workers {threads} "
        "--output {output:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


use rule evaluate_reference as evaluate with:
    input:
        policies=lambda w: f"{RUN}/policies/{arm(w).policies}.safetensors",
        plan=lambda w: [] if arm(w).policies == w.job else f"{RUN}/plans/{w.job}.csv",
        made=before_they_go,
        module=own_module,
    output:
        f"{RUN}/episodes/{{job}}.parquet",
    log:
        f"{RUN}/logs/evaluate/{{job}}.log",
    benchmark:
        f"{RUN}/benchmarks/evaluate/{{job}}.jsonl"
    message:
        "Roll out {wildcards.job}"


# Learning curves: fewer episodes of the policies on the way.
use rule evaluate_reference as evaluate_curve with:
    input:
        policies=f"{RUN}/snapshots/{{job}}.safetensors",
        plan=[],
        module=own_module,
    output:
        f"{RUN}/curves/{{job}}.parquet",
    log:
        f"{RUN}/logs/curves/{{job}}.log",
    benchmark:
        f"{RUN}/benchmarks/curves/{{job}}.jsonl"
    wildcard_constraints:
        job=one_of(job for job, own in ARMS.items() if own.points),
    params:
        settings=lambda w: evaluation_settings(w, config["evaluation"]["curves"]["episodes"]),
        plan=[],
        code=code("evaluate"),
    message:
        "Roll out the policies on the way of {wildcards.job}"


rule runs:
    input:
        episodes=study_episodes("main"),
        training=study_training("main"),
        plans=study_paths(f"{RUN}/plans/{{job}}.csv"),
        manifests=task_paths(f"{RUN}/splits/{{task}}.json"),
    output:
        report(
            f"{RUN}/tables/runs.csv",
            caption="../report/runs.rst",
            category=section("Results"),
            labels={"item": "Runs, one row each (CSV to download)"},
        ),
    log:
        f"{RUN}/logs/runs.log",
    benchmark:
        f"{RUN}/benchmarks/runs.jsonl"
    conda:
        "../../envs/data.yaml"
    params:
        members=[],
        code=code("runs"),
    message:
        "Reduce the episodes to one row a run"
    shell:
        "python scripts/runs.py --episodes {input.episodes:q} --training {input.training:q} "
        "--plans {input.plans:q} --manifests {input.manifests:q} {params.members:q} "
        "--output {output:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


# A study besides the main one: its runs and those that it shares with earlier studies.
use rule runs as study_table with:
    input:
        episodes=lambda w: study_episodes(w.study),
        training=lambda w: study_training(w.study),
        plans=lambda w: study_paths(f"{RUN}/plans/{{job}}.csv", w.study),
        manifests=lambda w: expand(f"{RUN}/splits/{{task}}.json", task=study_tasks(w.study)),
    output:
        report(
            f"{RUN}/tables/studies/{{study}}.csv",
            caption="../report/runs.rst",
            category=section("Ablations"),
            labels={"item": "Runs of the study {study} (CSV to download)"},
        ),
    log:
        f"{RUN}/logs/studies/{{study}}.log",
    benchmark:
        f"{RUN}/benchmarks/studies/{{study}}.jsonl"
    wildcard_constraints:
        study=one_of(study for study in STUDIES if study != "main"),
    params:
        members=lambda w: ["--members", as_json([vars(m) for m in MEMBERS[w.study]])],
        code=code("runs"),
    message:
        "Reduce the episodes of {wildcards.study} to one row a run"


# Learning curves: one row a run and iteration.
use rule runs as curves_table with:
    input:
        episodes=lambda w: expand(f"{RUN}/curves/{{job}}.parquet", job=followed_jobs(w.study)),
        training=[],
        plans=lambda w: expand(f"{RUN}/plans/{{job}}.csv", job=followed_jobs(w.study)),
        manifests=lambda w: expand(f"{RUN}/splits/{{task}}.json", task=study_tasks(w.study)),
    output:
        report(
            f"{RUN}/tables/curves/{{study}}.csv",
            caption="../report/runs.rst",
            category=section("Figures"),
            labels={"item": "Learning curves of the study {study} (CSV to download)"},
        ),
    log:
        f"{RUN}/logs/tables/curves/{{study}}.log",
    benchmark:
        f"{RUN}/benchmarks/tables/curves/{{study}}.jsonl"
    wildcard_constraints:
        study=one_of(study for study in STUDIES if config["studies"][study]["curves"]),
    params:
        members=lambda w: ["--members", as_json([vars(m) for m in followed(w.study)])],
        code=code("runs"),
    message:
        "Reduce the learning curves of {wildcards.study} to one row a run and iteration"


rule table1:
    input:
        f"{RUN}/tables/runs.csv",
    output:
        csv=f"{RUN}/tables/table1.csv",
        html=report(
            f"{RUN}/tables/table1.html",
            caption="../report/table1.rst",
            category=section("Results"),
            labels={"item": "Table 1"},
        ),
        markdown=f"{RUN}/tables/table1.md",
        latex=f"{RUN}/tables/table1.tex",
    log:
        f"{RUN}/logs/table1.log",
    benchmark:
        f"{RUN}/benchmarks/table1.jsonl"
    conda:
        "../../envs/data.yaml"
    params:
        thresholds=as_json({task: thresholds(config, task) for task in TASKS}),
        code=code("table1"),
    message:
        "Table 1"
    shell:
        "python scripts/table1.py --runs {input:q} --study main "
        "--thresholds {params.thresholds:q} --csv {output.csv:q} --html {output.html:q} "
        "--markdown {output.markdown:q} --latex {output.latex:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule claims:
    input:
        runs=f"{RUN}/tables/runs.csv",
        paper="workflow/paper/table1.csv",
        sizes=study_table("sizes"),
        sweep=study_table("sweep"),
        ablation=curves_table("ablation"),
        cost_gap=expand(f"{RUN}/cost_gap/{{task}}.csv", task=FIG2_TASKS),
        overlap=task_paths(f"{RUN}/overlap/{{task}}.json"),
        timing=f"{RUN}/tables/timing.csv",
    output:
        csv=f"{RUN}/tables/claims.csv",
        html=report(
            f"{RUN}/tables/claims.html",
            caption="../report/claims.rst",
            category=section("Results"),
            labels={"item": "Claims of the paper"},
        ),
        markdown=f"{RUN}/tables/claims.md",
    log:
        f"{RUN}/logs/claims.log",
    benchmark:
        f"{RUN}/benchmarks/claims.jsonl"
    conda:
        "../../envs/data.yaml"
    params:
        thresholds=as_json({task: thresholds(config, task) for task in TASKS}),
        code=code("claims"),
    message:
        "The paper's claims: its numbers, ours, verdicts"
    shell:
        "python scripts/claims.py --runs {input.runs:q} --paper {input.paper:q} --study main "
        "--sizes {input.sizes:q} --sweep {input.sweep:q} --ablation {input.ablation:q} "
        "--cost-gap {input.cost_gap:q} --overlap {input.overlap:q} --timing {input.timing:q} "
        "--thresholds {params.thresholds:q} --csv {output.csv:q} --html {output.html:q} "
        "--markdown {output.markdown:q} >> {log:q} 2> >(tee -a {log:q} >&2)"
