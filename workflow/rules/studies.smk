# Figures of the studies; each is a target of its own.

CURVE_EPISODES = config["evaluation"]["curves"]["episodes"]


rule fig5:
    input:
        study_table("sizes"),
    output:
        png=report(
            f"{RUN}/figures/fig05_sizes.png",
            caption="../report/fig5.rst",
            category=section("Ablations"),
            labels={"item": "Figure 05: sizes of D_p and D_np"},
        ),
        others=multiext(f"{RUN}/figures/fig05_sizes", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/fig5.log",
    benchmark:
        f"{RUN}/benchmarks/fig5.jsonl"
    conda:
        "../../envs/plot.yaml"
    params:
        sizes=as_json({name: config["split"][name] for name in studies.SIZES}),
        fixed=fixed_in("sizes"),
        code=code("fig5"),
    message:
        "Figure 5"
    shell:
        "python scripts/fig5.py --runs {input:q} --sizes {params.sizes:q} --fixed {params.fixed:q} "
        "--output {output.png:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule fig6:
    input:
        curves_table("ablation"),
    output:
        png=report(
            f"{RUN}/figures/fig06_ablation.png",
            caption="../report/fig6.rst",
            category=section("Ablations"),
            labels={"item": "Figure 06: without the SFT term"},
        ),
        others=multiext(f"{RUN}/figures/fig06_ablation", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/fig6.log",
    benchmark:
        f"{RUN}/benchmarks/fig6.jsonl"
    conda:
        "../../envs/plot.yaml"
    params:
        task=task_number("ablation", 0),
        episodes=CURVE_EPISODES,
        fixed=fixed_in("ablation"),
        code=code("ablation"),
    message:
        "Figure 6"
    shell:
        "python scripts/ablation.py --curves {input:q} --task {params.task:q} "
        "--episodes {params.episodes} --fixed {params.fixed:q} --output {output.png:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


use rule fig6 as fig10 with:
    output:
        png=report(
            f"{RUN}/figures/fig10_ablation.png",
            caption="../report/fig6.rst",
            category=section("Ablations"),
            labels={"item": "Figure 10: without the SFT term, another task"},
        ),
        others=multiext(f"{RUN}/figures/fig10_ablation", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/fig10.log",
    benchmark:
        f"{RUN}/benchmarks/fig10.jsonl"
    params:
        task=task_number("ablation", 1),
        episodes=CURVE_EPISODES,
        fixed=fixed_in("ablation"),
        code=code("ablation"),
    message:
        "Figure 10"


rule fig9:
    input:
        curves_table("sweep"),
    output:
        png=report(
            f"{RUN}/figures/fig09_sweep.png",
            caption="../report/fig9.rst",
            category=section("Ablations"),
            labels={"item": "Figure 09: lambda and beta"},
        ),
        others=multiext(f"{RUN}/figures/fig09_sweep", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/fig9.log",
    benchmark:
        f"{RUN}/benchmarks/fig9.jsonl"
    conda:
        "../../envs/plot.yaml"
    params:
        task=task_number("sweep", 0),
        episodes=CURVE_EPISODES,
        fixed=fixed_in("sweep"),
        code=code("fig9"),
    message:
        "Figure 9"
    shell:
        "python scripts/fig9.py --curves {input:q} --task {params.task:q} "
        "--episodes {params.episodes} --fixed {params.fixed:q} --output {output.png:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule fig11:
    input:
        curves_table("main"),
    output:
        png=report(
            f"{RUN}/figures/fig11_learning_safety_gym.png",
            caption="../report/fig11.rst",
            category=section("Figures"),
            labels={"item": "Figure 11: learning curves, Safety Gym"},
        ),
        others=multiext(f"{RUN}/figures/fig11_learning_safety_gym", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/fig11.log",
    benchmark:
        f"{RUN}/benchmarks/fig11.jsonl"
    conda:
        "../../envs/plot.yaml"
    params:
        suite="safety_gym",
        tasks=as_json(tasks_of_suite("safety_gym")),
        episodes=CURVE_EPISODES,
        code=code("learning_curves"),
    message:
        "Learning curves of {params.suite}"
    shell:
        "python scripts/learning_curves.py --curves {input:q} --suite {params.suite} "
        "--tasks {params.tasks:q} --episodes {params.episodes} --output {output.png:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


use rule fig11 as fig12 with:
    output:
        png=report(
            f"{RUN}/figures/fig12_learning_bullet_gym.png",
            caption="../report/fig11.rst",
            category=section("Figures"),
            labels={"item": "Figure 12: learning curves, Bullet Gym"},
        ),
        others=multiext(f"{RUN}/figures/fig12_learning_bullet_gym", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/fig12.log",
    benchmark:
        f"{RUN}/benchmarks/fig12.jsonl"
    params:
        suite="bullet_gym",
        tasks=as_json(tasks_of_suite("bullet_gym")),
        episodes=CURVE_EPISODES,
        code=code("learning_curves"),


use rule fig11 as own_learning_curves with:
    output:
        png=report(
            f"{RUN}/figures/learning_own.png",
            caption="../report/fig11.rst",
            category=section("Figures"),
            labels={"item": "Learning curves, own tasks"},
        ),
        others=multiext(f"{RUN}/figures/learning_own", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/own_learning_curves.log",
    benchmark:
        f"{RUN}/benchmarks/own_learning_curves.jsonl"
    params:
        suite="own",
        tasks=as_json(tasks_of_suite("own")),
        episodes=CURVE_EPISODES,
        code=code("learning_curves"),


# Beyond the paper: what does the preference term add?
rule control:
    input:
        study_table("control"),
    output:
        png=report(
            f"{RUN}/figures/control.png",
            caption="../report/control.rst",
            category=section("Beyond the paper"),
            labels={"item": "Control: PREFINE and BC from the reference"},
        ),
        others=multiext(f"{RUN}/figures/control", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/control.log",
    benchmark:
        f"{RUN}/benchmarks/control.jsonl"
    conda:
        "../../envs/plot.yaml"
    params:
        study="control",
        fixed=fixed_in("control"),
        code=code("variants"),
    message:
        "Study {params.study}"
    shell:
        "python scripts/variants.py --runs {input:q} --study {params.study} "
        "--fixed {params.fixed:q} --output {output.png:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


use rule control as level with:
    input:
        study_table("level"),
    output:
        png=report(
            f"{RUN}/figures/level.png",
            caption="../report/level.rst",
            category=section("Beyond the paper"),
            labels={"item": "Level of the preference: step, segment, trajectory"},
        ),
        others=multiext(f"{RUN}/figures/level", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/level.log",
    benchmark:
        f"{RUN}/benchmarks/level.jsonl"
    params:
        study="level",
        fixed=fixed_in("level"),
        code=code("variants"),


use rule control as likelihood with:
    input:
        study_table("likelihood"),
    output:
        png=report(
            f"{RUN}/figures/likelihood.png",
            caption="../report/likelihood.rst",
            category=section("Beyond the paper"),
            labels={"item": "Likelihood and actions of the VAE"},
        ),
        others=multiext(f"{RUN}/figures/likelihood", ".pdf", ".csv"),
    log:
        f"{RUN}/logs/likelihood.log",
    benchmark:
        f"{RUN}/benchmarks/likelihood.jsonl"
    params:
        study="likelihood",
        fixed=fixed_in("likelihood"),
        code=code("variants"),
