# Not part of `all`: families of behaviour policies made anew, hours a task, each branch a job of its
# own. `snakemake behaviours` leaves them under results/; workflow/behaviours/ has those in use.

BEHAVIOURS = f"{RUN}/behaviours/{{task}}"
WITH_RECIPE = [task for task in TASKS if task in BEHAVIOUR_RECIPES]

if "behaviours" in sys.argv and set(TASKS) - set(WITH_RECIPE):
    raise WorkflowError(
        f"{run.from_root('workflow/behaviours/recipes.yaml')}: has no branches for "
        f"{', '.join(task for task in TASKS if task not in WITH_RECIPE)}; write some "
        "(scripts/prefine/data/behaviours.py), or take the task out of tasks"
    )


rule behaviours:
    input:
        expand(f"{BEHAVIOURS}/family/{{task}}.safetensors", task=WITH_RECIPE),


rule train_behaviours:
    input:  # the branch that a branch goes on from; mostly none
        lambda w: [
            f"{BEHAVIOURS}/{source}.npz"
            for source in BEHAVIOUR_RECIPES[w.task][w.branch].get("begin", [])[:1]
        ],
    output:
        f"{BEHAVIOURS}/{{branch}}.npz",
    log:
        f"{RUN}/logs/train_behaviours/{{task}}/{{branch}}.log",
    benchmark:
        f"{RUN}/benchmarks/train_behaviours/{{task}}/{{branch}}.jsonl"
    wildcard_constraints:
        task=one_of(WITH_RECIPE),
        branch=one_of({name for own in BEHAVIOUR_RECIPES.values() for name in own}),
    conda:
        "../../envs/collect.yaml"
    resources:
        mem_mb=4000,
    params:
        recipe=lambda w: as_json({w.task: {w.branch: BEHAVIOUR_RECIPES[w.task][w.branch]}}),
        code=run.code("data/behaviours"),
    message:
        "Train the branch {wildcards.branch} of {wildcards.task}'s behaviour policies"
    shell:
        'python "$PREFINE_SCRIPTS" data/behaviours.py --task {wildcards.task} '
        "--branch {wildcards.branch} --recipe {params.recipe:q} --output {output:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule choose_behaviours:
    input:
        trained=lambda w: [f"{BEHAVIOURS}/{name}.npz" for name in BEHAVIOUR_RECIPES[w.task]],
        table1=PAPER / "table1.csv",
        tables23=PAPER / "tables2_3.csv",
    output:
        arrays=f"{BEHAVIOURS}/chosen/{{task}}.npz",
        about=f"{BEHAVIOURS}/chosen/{{task}}.json",
    log:
        f"{RUN}/logs/choose_behaviours/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/choose_behaviours/{{task}}.jsonl"
    conda:
        "../../envs/collect.yaml"
    threads: config["evaluation"]["workers"]
    resources:
        mem_mb=6000,
    params:
        thresholds=lambda w: as_json(thresholds(config, w.task)),
        code=run.code("data/choose_behaviours"),
    message:
        "Choose the family of {wildcards.task} by rollouts"
    shell:
        'python "$PREFINE_SCRIPTS" data/choose_behaviours.py --task {wildcards.task} '
        "--trained {input.trained:q} --table1 {input.table1:q} --tables23 {input.tables23:q} "
        "--thresholds {params.thresholds:q} --workers {threads} --output {output.arrays:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


rule family:
    input:
        trained=lambda w: [f"{BEHAVIOURS}/{name}.npz" for name in BEHAVIOUR_RECIPES[w.task]],
        arrays=f"{BEHAVIOURS}/chosen/{{task}}.npz",
        about=f"{BEHAVIOURS}/chosen/{{task}}.json",
    output:
        multiext(f"{BEHAVIOURS}/family/{{task}}", ".safetensors", ".md"),
        recipes=f"{BEHAVIOURS}/family/recipes.yaml",
    log:
        f"{RUN}/logs/family/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/family/{{task}}.jsonl"
    localrule: True
    conda:
        "../../envs/collect.yaml"
    params:
        folder=subpath(output.recipes, parent=True),
        code=run.code("data/family"),
    message:
        "Write the family of {wildcards.task} and its card"
    shell:
        'python "$PREFINE_SCRIPTS" data/family.py --arrays {input.arrays:q} '
        "--about {input.about:q} --trained {input.trained:q} --output {params.folder:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"
