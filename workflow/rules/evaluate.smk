# Rollouts, one row a run, Table 1 and the paper's claims.


rule evaluate_reference:
    input:
        policies=f"{RUN}/reference/{{task}}.safetensors",
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
        mem_mb=4000,
    params:
        settings=as_json({key: config["evaluation"][key] for key in ("episodes", "action_mode")}),
        code=code("evaluate"),
    message:
        "Roll out the reference policy of {wildcards.task}"
    shell:
        "python scripts/evaluate.py --policies {input.policies:q} --settings {params.settings:q} "
        "--workers {threads} --output {output:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


use rule evaluate_reference as evaluate with:
    input:
        policies=f"{RUN}/policies/{{study}}/{{task}}/{{method}}.safetensors",
        module=own_module,
    output:
        f"{RUN}/episodes/{{study}}/{{task}}/{{method}}.parquet",
    log:
        f"{RUN}/logs/evaluate/{{study}}/{{task}}/{{method}}.log",
    benchmark:
        f"{RUN}/benchmarks/evaluate/{{study}}/{{task}}/{{method}}.jsonl"
    message:
        "Roll out {wildcards.study}: {wildcards.method} on {wildcards.task}"


rule runs:
    input:
        episodes=[
            *task_paths(f"{RUN}/episodes/reference/{{task}}.parquet"),
            *study_paths(f"{RUN}/episodes/{{study}}/{{task}}/{{method}}.parquet"),
        ],
        training=[
            *task_paths(f"{RUN}/training/reference/{{task}}.parquet"),
            *study_paths(f"{RUN}/training/{{study}}/{{task}}/{{method}}.parquet"),
        ],
        plans=study_paths(f"{RUN}/plans/{{study}}/{{task}}/{{method}}.csv"),
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
        code=code("runs"),
    message:
        "Reduce the episodes to one row a run"
    shell:
        "python scripts/runs.py --episodes {input.episodes:q} --training {input.training:q} "
        "--plans {input.plans:q} --manifests {input.manifests:q} --output {output:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


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
        thresholds=as_json({task: configuration.thresholds(config, task) for task in TASKS}),
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
        thresholds=as_json({task: configuration.thresholds(config, task) for task in TASKS}),
        code=code("claims"),
    message:
        "The paper's claims: its numbers, ours, verdicts"
    shell:
        "python scripts/claims.py --runs {input.runs:q} --paper {input.paper:q} --study main "
        "--thresholds {params.thresholds:q} --csv {output.csv:q} --html {output.html:q} "
        "--markdown {output.markdown:q} >> {log:q} 2> >(tee -a {log:q} >&2)"
