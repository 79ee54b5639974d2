# Tables of the datasets: Tables 2 and 3, and how like DSRL's they are.


rule dataset_statistics:
    input:
        manifests=run.task_paths(MANIFEST),
        checks=run.task_paths(f"{RUN}/trajectories/{{task}}.json"),
        paper=PAPER / "tables2_3.csv",
    output:
        csv=f"{RUN}/tables/dataset_statistics.csv",
        markdown=f"{RUN}/tables/dataset_statistics.md",
    log:
        f"{RUN}/logs/dataset_statistics.log",
    benchmark:
        f"{RUN}/benchmarks/dataset_statistics.jsonl"
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        code=run.code("analysis/dataset_statistics"),
    message:
        "Tables 2 and 3: statistics of D_p and D_np"
    shell:
        'python "$PREFINE_SCRIPTS" analysis/dataset_statistics.py --manifests {input.manifests:q} '
        "--checks {input.checks:q} --paper {input.paper:q} "
        "--csv {output.csv:q} --markdown {output.markdown:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


# How like DSRL's datasets ours are; of DSRL's tasks, the user's own have nothing beside them.
rule likeness:
    input:
        statistics=f"{RUN}/tables/dataset_statistics.csv",
        trajectories=run.task_paths(f"{RUN}/trajectories/{{task}}.csv"),
        reference=run.task_paths(f"{RUN}/episodes/reference/{{task}}.parquet"),
        table1=PAPER / "table1.csv",
    output:
        csv=f"{RUN}/tables/likeness.csv",
        markdown=f"{RUN}/tables/likeness.md",
    log:
        f"{RUN}/logs/likeness.log",
    benchmark:
        f"{RUN}/benchmarks/likeness.jsonl"
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        code=run.code("analysis/likeness"),
    message:
        "Set each dataset beside DSRL's"
    shell:
        'python "$PREFINE_SCRIPTS" analysis/likeness.py --statistics {input.statistics:q} '
        "--trajectories {input.trajectories:q} --reference {input.reference:q} "
        "--table1 {input.table1:q} --csv {output.csv:q} --markdown {output.markdown:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule table2:
    """Table 2 of the paper; one file holds Tables 2 and 3."""
    input:
        f"{RUN}/tables/dataset_statistics.csv",


rule table3:
    """Table 3 of the paper; one file holds Tables 2 and 3."""
    input:
        f"{RUN}/tables/dataset_statistics.csv",
