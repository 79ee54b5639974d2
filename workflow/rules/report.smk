# The report: the paper's claims with verdicts, where the numbers come from, and the page itself.


rule claims:
    input:
        runs=f"{RUN}/tables/runs.csv",
        paper=PAPER / "table1.csv",
        sizes=run.study_table("sizes"),
        sweep=run.study_table("sweep"),
        ablation=run.curves_table("ablation"),
        pareto=run.study_table("pareto"),
        cost_gap=run.task_paths(f"{RUN}/cost_gap/{{task}}.csv", run.cost_gap_tasks),
        overlap=run.task_paths(f"{RUN}/overlap/{{task}}.json"),
        timing=run.timing_table(),
    output:
        csv=f"{RUN}/tables/claims.csv",
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
        "--pareto {input.pareto:q} "
        "--cost-gap {input.cost_gap:q} --overlap {input.overlap:q} --timing {input.timing:q} "
        "--thresholds {params.thresholds:q} --csv {output.csv:q} "
        "--markdown {output.markdown:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule provenance:
    input:
        training=run.all_training(),
        episodes=run.all_episodes(),
        manifests=run.task_paths(MANIFEST),
    output:
        json=report(
            f"{RUN}/tables/provenance.json",
            caption="../report/provenance.rst",
            category="Provenance",
            labels={"item": "Versions, devices, data, settings of every job"},
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
        "--config {params.config:q} --json {output.json:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


# Figures, tables and films of the run; of the films those that it has.
rule page:
    input:
        shown=run.shown(),
        paper=PAPER / "table1.csv",
        captions=run.captions(),
    output:
        f"{RUN}/index.html",
    log:
        f"{RUN}/logs/page.log",
    benchmark:
        f"{RUN}/benchmarks/page.jsonl"
    localrule: True
    conda:
        "../../envs/page.yaml"
    params:
        folder=subpath(output[0], parent=True),
        settings=lambda w: figures.page_settings(run),
        code=run.code("report/page"),
    message:
        "The report as one page"
    shell:
        'python "$PREFINE_SCRIPTS" report/page.py --folder {params.folder:q} '
        "--paper {input.paper:q} --captions {input.captions:q} --settings {params.settings:q} "
        "--output {output:q} >> {log:q} 2> >(tee -a {log:q} >&2)"
