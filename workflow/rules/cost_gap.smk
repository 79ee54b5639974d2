# Figure 2: what PREFINE's policies on the way would have cost in the data's states.


rule cost_gap:
    input:
        policies=f"{RUN}/snapshots/main/{{task}}/prefine.safetensors",
        data=f"{RUN}/data/{{task}}.hdf5",
        trajectories=f"{RUN}/trajectories/{{task}}.csv",
        splits=f"{RUN}/splits/{{task}}.csv",
        module=own_module,
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
        settings=cost_gap_settings,
        code=code("cost_gap"),
    message:
        "Cost gap of the policies on the way of {wildcards.task}"
    shell:
        "python scripts/cost_gap.py --policies {input.policies:q} --data {input.data:q} "
        "--trajectories {input.trajectories:q} --splits {input.splits:q} "
        "--module {input.module:q} --source {params.source} --settings {params.settings:q} "
        "--output {output:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule fig2:
    input:
        expand(f"{RUN}/cost_gap/{{task}}.csv", task=FIG2_TASKS),
    output:
        png=report(
            f"{RUN}/figures/fig02_cost_gap.png",
            caption="../report/fig2.rst",
            category=section("Figures"),
            labels={"item": "Figure 02: cost gap"},
        ),
        others=multiext(f"{RUN}/figures/fig02_cost_gap", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/fig2.log",
    benchmark:
        f"{RUN}/benchmarks/fig2.jsonl"
    conda:
        "../../envs/plot.yaml"
    params:
        code=code("fig2"),
    message:
        "Figure 2"
    shell:
        "python scripts/fig2.py --tables {input:q} --output {output.png:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"
