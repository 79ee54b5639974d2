# What the report says: the paper's claims with verdicts, and where the numbers come from.


rule claims:
    input:
        runs=f"{RUN}/tables/runs.csv",
        paper=PAPER / "table1.csv",
        sizes=run.study_table("sizes"),
        sweep=run.study_table("sweep"),
        ablation=run.curves_table("ablation"),
        cost_gap=run.task_paths(f"{RUN}/cost_gap/{{task}}.csv", run.cost_gap_tasks),
        overlap=run.task_paths(f"{RUN}/overlap/{{task}}.json"),
        timing=run.timing_table(),
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
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        thresholds=run.thresholds(),
        code=run.code("analysis/claims"),
    message:
        "The paper's claims: its numbers, ours, verdicts"
    shell:
        'python "$PREFINE_SCRIPTS" analysis/claims.py '
        "--runs {input.runs:q} --paper {input.paper:q} --study main "
        "--sizes {input.sizes:q} --sweep {input.sweep:q} --ablation {input.ablation:q} "
        "--cost-gap {input.cost_gap:q} --overlap {input.overlap:q} --timing {input.timing:q} "
        "--thresholds {params.thresholds:q} --csv {output.csv:q} --html {output.html:q} "
        "--markdown {output.markdown:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule provenance:
    input:
        training=run.all_training(),
        episodes=run.all_episodes(),
        manifests=run.task_paths(MANIFEST),
    output:
        json=f"{RUN}/tables/provenance.json",
        html=report(
            f"{RUN}/tables/provenance.html",
            caption="../report/provenance.rst",
            category=section("Results"),
            labels={"item": "Provenance: versions, devices, data, config"},
        ),
    log:
        f"{RUN}/logs/provenance.log",
    benchmark:
        f"{RUN}/benchmarks/provenance.jsonl"
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        config=lambda w: as_json(config),  # a function, for there are braces in it
        code=run.code("analysis/provenance"),
    message:
        "Where the numbers come from"
    shell:
        'python "$PREFINE_SCRIPTS" analysis/provenance.py --training {input.training:q} '
        "--episodes {input.episodes:q} --manifests {input.manifests:q} "
        "--config {params.config:q} --json {output.json:q} --html {output.html:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"
