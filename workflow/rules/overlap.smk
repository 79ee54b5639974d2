# Figure 13: where the states of D_p and D_np lie.


rule overlap:
    input:
        data=f"{RUN}/data/{{task}}.hdf5",
        trajectories=f"{RUN}/trajectories/{{task}}.csv",
        splits=f"{RUN}/splits/{{task}}.csv",
        manifest=f"{RUN}/splits/{{task}}.json",
        task=task_file,
    output:
        points=f"{RUN}/overlap/{{task}}.csv",
        numbers=f"{RUN}/overlap/{{task}}.json",
    log:
        f"{RUN}/logs/overlap/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/overlap/{{task}}.jsonl"
    conda:
        "../../envs/overlap.yaml"
    threads: 1
    resources:
        mem_mb=4000,
    params:
        task=task_argument,
        settings=overlap_settings,
        code=code("overlap"),
    message:
        "Lay out states of D_p and D_np of {wildcards.task}"
    shell:
        "python scripts/overlap.py --task {params.task:q} --data {input.data:q} "
        "--trajectories {input.trajectories:q} --splits {input.splits:q} "
        "--manifest {input.manifest:q} --settings {params.settings:q} "
        "--points {output.points:q} --numbers {output.numbers:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule fig13:
    input:
        points=task_paths(f"{RUN}/overlap/{{task}}.csv"),
        numbers=task_paths(f"{RUN}/overlap/{{task}}.json"),
    output:
        png=report(
            f"{RUN}/figures/fig13_umap.png",
            caption="../report/fig13.rst",
            category=section("Data"),
            labels={"item": "Figure 13: overlap of D_p and D_np"},
        ),
        others=multiext(f"{RUN}/figures/fig13_umap", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/fig13.log",
    benchmark:
        f"{RUN}/benchmarks/fig13.jsonl"
    conda:
        "../../envs/plot.yaml"
    params:
        code=code("fig13"),
    message:
        "Figure 13"
    shell:
        "python scripts/fig13.py --points {input.points:q} --numbers {input.numbers:q} "
        "--output {output.png:q} >> {log:q} 2> >(tee -a {log:q} >&2)"
