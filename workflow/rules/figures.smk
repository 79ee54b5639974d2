# The paper's figures; each is a target of its own.

FIG1 = config["figures"]["fig1"]


rule fig1:
    input:
        trajectories=f"{RUN}/trajectories/{FIG1['task']}.csv",
        splits=f"{RUN}/splits/{FIG1['task']}.csv",
        manifest=f"{RUN}/splits/{FIG1['task']}.json",
        reference=f"{RUN}/episodes/reference/{FIG1['task']}.parquet",
        prefine=f"{RUN}/episodes/main/{FIG1['task']}/prefine.parquet",
    output:
        png=report(
            f"{RUN}/figures/fig01_overview.png",
            caption="../report/fig1.rst",
            category="Figures",
            labels={"item": "Figure 1: overview"},
        ),
        others=multiext(f"{RUN}/figures/fig01_overview", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/fig1.log",
    benchmark:
        f"{RUN}/benchmarks/fig1.jsonl"
    conda:
        "../../envs/plot.yaml"
    params:
        task=FIG1["task"],
        tau=[] if FIG1["tau"] is None else ["--tau", FIG1["tau"]],
        draw=FIG1["draw"],
        code=code("fig1"),
    message:
        "Figure 1"
    shell:
        "python scripts/fig1.py --trajectories {input.trajectories:q} --splits {input.splits:q} "
        "--manifest {input.manifest:q} --reference {input.reference:q} "
        "--prefine {input.prefine:q} --task {params.task:q} {params.tau} "
        "--draw {params.draw} --output {output.png:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule fig3:
    input:
        f"{RUN}/tables/table1.csv",
    output:
        png=report(
            f"{RUN}/figures/fig03_reward_cost.png",
            caption="../report/fig3.rst",
            category="Figures",
            labels={"item": "Figure 3: reward against cost"},
        ),
        others=multiext(f"{RUN}/figures/fig03_reward_cost", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/fig3.log",
    benchmark:
        f"{RUN}/benchmarks/fig3.jsonl"
    conda:
        "../../envs/plot.yaml"
    params:
        code=code("fig3"),
    message:
        "Figure 3"
    shell:
        "python scripts/fig3.py --table {input:q} --output {output.png:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"
