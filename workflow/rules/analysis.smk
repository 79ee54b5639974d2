# From episodes to tables: one row a run, fronts, Table 1.

MANIFEST = f"{RUN}/splits/{{task}}.json"


rule runs:
    input:
        episodes=run.study_episodes("main"),
        training=run.study_training("main"),
        plans=run.study_paths("plans", "csv"),
        manifests=run.task_paths(MANIFEST),
    output:
        f"{RUN}/tables/runs.csv",
    log:
        f"{RUN}/logs/runs.log",
    benchmark:
        f"{RUN}/benchmarks/runs.jsonl"
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        members=[],
        code=run.code("analysis/runs"),
    message:
        "Reduce the episodes to one row a run"
    shell:
        'python "$PREFINE_SCRIPTS" analysis/runs.py '
        "--episodes {input.episodes:q} --training {input.training:q} "
        "--plans {input.plans:q} --manifests {input.manifests:q} {params.members:q} "
        "--output {output:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


use rule runs as study_table with:
    input:
        episodes=lambda w: run.study_episodes(w.study),
        training=lambda w: run.study_training(w.study),
        plans=lambda w: run.study_paths("plans", "csv", w.study),
        manifests=lambda w: run.task_paths(MANIFEST, run.study_tasks(w.study)),
    output:
        f"{RUN}/tables/studies/{{study}}.csv",
    log:
        f"{RUN}/logs/studies/{{study}}.log",
    benchmark:
        f"{RUN}/benchmarks/studies/{{study}}.jsonl"
    wildcard_constraints:
        study=one_of(study for study in STUDIES if study != "main"),
    localrule: True  # which `use rule` does not take over
    params:
        members=lambda w: run.members_argument(run.members[w.study]),
    message:
        "Reduce the episodes of {wildcards.study} to one row a run"


use rule runs as curves_table with:
    input:
        episodes=lambda w: run.followed_paths("curves", "parquet", w.study),
        training=[],
        plans=lambda w: run.followed_paths("plans", "csv", w.study),
        manifests=lambda w: run.task_paths(MANIFEST, run.study_tasks(w.study)),
    output:
        f"{RUN}/tables/curves/{{study}}.csv",
    log:
        f"{RUN}/logs/tables/curves/{{study}}.log",
    benchmark:
        f"{RUN}/benchmarks/tables/curves/{{study}}.jsonl"
    wildcard_constraints:
        study=one_of(study for study in STUDIES if config["studies"][study]["curves"]),
    localrule: True
    params:
        members=lambda w: run.members_argument(run.followed(w.study)),
    message:
        "Reduce the learning curves of {wildcards.study} to one row a run and iteration"


use rule runs as validation_table with:
    input:
        episodes=lambda w: run.study_episodes(w.study, "validation"),
        training=[],
        plans=lambda w: run.study_paths("plans", "csv", w.study),
        manifests=lambda w: run.task_paths(MANIFEST, run.study_tasks(w.study)),
    output:
        f"{RUN}/tables/validation/{{study}}.csv",
    log:
        f"{RUN}/logs/tables/validation/{{study}}.log",
    benchmark:
        f"{RUN}/benchmarks/tables/validation/{{study}}.jsonl"
    localrule: True
    params:
        members=lambda w: run.members_argument(run.members[w.study]),
    message:
        "Reduce the validation episodes of {wildcards.study} to one row a run"


rule pareto:
    input:
        runs=run.trade_off("studies/pareto"),
        validation=run.trade_off("validation/pareto"),
    output:
        csv=f"{RUN}/tables/pareto.csv",
        choice=f"{RUN}/tables/pareto_choice.csv",
        markdown=f"{RUN}/tables/pareto.md",
    log:
        f"{RUN}/logs/pareto.log",
    benchmark:
        f"{RUN}/benchmarks/pareto.jsonl"
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        code=run.code("analysis/pareto"),
    message:
        "Hypervolumes of the fronts, and what choosing a point costs"
    shell:
        'python "$PREFINE_SCRIPTS" analysis/pareto.py --runs {input.runs:q} '
        "--validation {input.validation:q} --csv {output.csv:q} --choice {output.choice:q} "
        "--markdown {output.markdown:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule table1:
    input:
        runs=f"{RUN}/tables/runs.csv",
        outside=run.outside_scores(),
    output:
        csv=f"{RUN}/tables/table1.csv",
        markdown=f"{RUN}/tables/table1.md",
        latex=f"{RUN}/tables/table1.tex",
    log:
        f"{RUN}/logs/table1.log",
    benchmark:
        f"{RUN}/benchmarks/table1.jsonl"
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        thresholds=run.thresholds(),
        seen=run.seen(),
        code=run.code("analysis/table1"),
    message:
        "Table 1"
    shell:
        'python "$PREFINE_SCRIPTS" analysis/table1.py --runs {input.runs:q} --study main '
        "--outside {input.outside:q} --seen {params.seen:q} "
        "--thresholds {params.thresholds:q} --csv {output.csv:q} "
        "--markdown {output.markdown:q} --latex {output.latex:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"
