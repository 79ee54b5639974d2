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
            category=section("Figures"),
            labels={"item": "Figure 01: overview"},
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
            category=section("Figures"),
            labels={"item": "Figure 03: reward against cost"},
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


# Every method alone on the machine: all cores are taken, and the GPU.
rule timing:
    input:
        data=f"{RUN}/data/{FIG4_TASK}.hdf5",
        trajectories=f"{RUN}/trajectories/{FIG4_TASK}.csv",
        splits=f"{RUN}/splits/{FIG4_TASK}.csv",
        reference=f"{RUN}/reference/{FIG4_TASK}.safetensors",
        task=f"{RUN}/tasks/{FIG4_TASK}.json" if OWN_DATA else [],
    output:
        f"{RUN}/tables/timing.csv",
    log:
        f"{RUN}/logs/timing.log",
    benchmark:
        f"{RUN}/benchmarks/timing.jsonl"
    conda:
        "../../envs/train.yaml"
    threads: workflow.resource_settings.cores or 1
    resources:
        gpu=GPU,
        mem_mb=8000,
    params:
        task=lambda w, input: input.get("task") or FIG4_TASK,
        tau=tau_argument(FIG4_TASK),
        settings=as_json({k: v for k, v in config["figures"]["fig4"].items() if k != "task"}),
        methods=lambda w: as_json(timed_settings()),
        code=code("timing", *map(method_file, timed_settings())),
    message:
        "Time every method, one after another, with nothing beside"
    shell:
        "python scripts/timing.py --task {params.task:q} --data {input.data:q} "
        "--trajectories {input.trajectories:q} --splits {input.splits:q} "
        "--reference {input.reference:q} {params.tau} --settings {params.settings:q} "
        "--methods {params.methods:q} --output {output:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule fig4:
    input:
        timing=f"{RUN}/tables/timing.csv",
        table=f"{RUN}/tables/table1.csv",
    output:
        png=report(
            f"{RUN}/figures/fig04_wall_clock.png",
            caption="../report/fig4.rst",
            category=section("Timing"),
            labels={"item": "Figure 04: wall-clock time"},
        ),
        others=multiext(f"{RUN}/figures/fig04_wall_clock", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/fig4.log",
    benchmark:
        f"{RUN}/benchmarks/fig4.jsonl"
    conda:
        "../../envs/plot.yaml"
    params:
        code=code("fig4"),
    message:
        "Figure 4"
    shell:
        "python scripts/fig4.py --timing {input.timing:q} --table {input.table:q} "
        "--output {output.png:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule fig7:
    input:
        f"{RUN}/tables/runs.csv",
    output:
        png=report(
            f"{RUN}/figures/fig07_thresholds.png",
            caption="../report/fig7.rst",
            category=section("Figures"),
            labels={"item": "Figure 07: reward and safety against the threshold"},
        ),
        others=multiext(f"{RUN}/figures/fig07_thresholds", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/fig7.log",
    benchmark:
        f"{RUN}/benchmarks/fig7.jsonl"
    conda:
        "../../envs/plot.yaml"
    params:
        thresholds=as_json({task: thresholds(config, task) for task in TASKS}),
        code=code("fig7"),
    message:
        "Figure 7"
    shell:
        "python scripts/fig7.py --runs {input:q} --study main "
        "--thresholds {params.thresholds:q} --output {output.png:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule fig8:
    input:
        f"{RUN}/tables/runs.csv",
    output:
        png=report(
            f"{RUN}/figures/fig08_tasks_solved.png",
            caption="../report/fig8.rst",
            category=section("Figures"),
            labels={"item": "Figure 08: fraction of tasks solved"},
        ),
        others=multiext(f"{RUN}/figures/fig08_tasks_solved", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/fig8.log",
    benchmark:
        f"{RUN}/benchmarks/fig8.jsonl"
    conda:
        "../../envs/plot.yaml"
    params:
        thresholds=as_json({task: thresholds(config, task) for task in TASKS}),
        code=code("fig8"),
    message:
        "Figure 8"
    shell:
        "python scripts/fig8.py --runs {input:q} --study main "
        "--thresholds {params.thresholds:q} --output {output.png:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule paper_comparison:
    input:
        table=f"{RUN}/tables/table1.csv",
        paper="workflow/paper/table1.csv",
    output:
        png=report(
            f"{RUN}/figures/paper_comparison.png",
            caption="../report/paper_comparison.rst",
            category=section("Results"),
            labels={"item": "Table 1 beside the paper's"},
        ),
        others=multiext(f"{RUN}/figures/paper_comparison", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/paper_comparison.log",
    benchmark:
        f"{RUN}/benchmarks/paper_comparison.jsonl"
    conda:
        "../../envs/plot.yaml"
    params:
        code=code("paper_comparison"),
    message:
        "Table 1 beside the paper's"
    shell:
        "python scripts/paper_comparison.py --table {input.table:q} --paper {input.paper:q} "
        "--output {output.png:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule ceiling:
    input:
        runs=f"{RUN}/tables/runs.csv",
        manifests=task_paths(f"{RUN}/splits/{{task}}.json"),
        table1="workflow/paper/table1.csv",
        tables23="workflow/paper/tables2_3.csv",
    output:
        png=report(
            f"{RUN}/figures/ceiling.png",
            caption="../report/ceiling.rst",
            category=section("Beyond the paper"),
            labels={"item": "Is D_p the ceiling of PREFINE's return?"},
        ),
        others=multiext(f"{RUN}/figures/ceiling", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/ceiling.log",
    benchmark:
        f"{RUN}/benchmarks/ceiling.jsonl"
    conda:
        "../../envs/plot.yaml"
    params:
        code=code("ceiling"),
    message:
        "PREFINE's return against that of D_p"
    shell:
        "python scripts/ceiling.py --runs {input.runs:q} --study main "
        "--manifests {input.manifests:q} --table1 {input.table1:q} --tables23 {input.tables23:q} "
        "--output {output.png:q} >> {log:q} 2> >(tee -a {log:q} >&2)"
