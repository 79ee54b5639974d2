# Not part of `all`: what is published with the repository, and the policies that come with it.
# `snakemake publish` makes it in results/{run}/; scripts/put_result.py puts it into a checkout.

ZOO = [f"{RUN}/zoo/{{task}}/{name}" for name in ("prefine", "reference")]


rule finished:
    input:
        runs=f"{RUN}/tables/runs.csv",
        studies=[path for study in STUDIES if study != "main" for path in run.study_table(study)],
    output:
        f"{RUN}/tables/finished.csv",
    log:
        f"{RUN}/logs/finished.log",
    benchmark:
        f"{RUN}/benchmarks/finished.jsonl"
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        asked=lambda w: run.asked_jobs(),  # a function, for there are braces in it
        code=run.code("analysis/finished"),
    message:
        "What was run, and for how long"
    shell:
        'python "$PREFINE_SCRIPTS" analysis/finished.py --runs {input:q} '
        "--asked {params.asked:q} --output {output:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule flatness:
    input:
        run.curves_table("main"),
    output:
        f"{RUN}/tables/flatness.csv",
    log:
        f"{RUN}/logs/flatness.log",
    benchmark:
        f"{RUN}/benchmarks/flatness.jsonl"
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        code=run.code("analysis/flatness"),
    message:
        "Whether the learning curves are flat at their end"
    shell:
        'python "$PREFINE_SCRIPTS" analysis/flatness.py --curves {input:q} --output {output:q} '
        ">> {log:q} 2> >(tee -a {log:q} >&2)"


# The best of PREFINE's runs is chosen by validation episodes, which are not reported.
rule zoo:
    input:
        reference=f"{RUN}/reference/{{task}}.safetensors",
        policies=f"{RUN}/policies/main/{{task}}/prefine.safetensors",
        validation=f"{RUN}/validation/main/{{task}}/prefine.parquet",
        before=f"{RUN}/episodes/reference/{{task}}.parquet",
        after=f"{RUN}/episodes/main/{{task}}/prefine.parquet",
    output:
        [f"{place}/{file}" for place in ZOO for file in ("policy.safetensors", "README.md")],
    log:
        f"{RUN}/logs/zoo/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/zoo/{{task}}.jsonl"
    wildcard_constraints:
        task=one_of(run.zoo_tasks),
    localrule: True
    conda:
        "../../envs/export.yaml"
    params:
        tau=lambda w: run.middle_threshold(w.task),
        folder=f"{RUN}/zoo/{{task}}",
        code=run.code("publish/zoo"),
    message:
        "Choose {wildcards.task}'s policy for the zoo"
    shell:
        'python "$PREFINE_SCRIPTS" publish/zoo.py --reference {input.reference:q} '
        "--policies {input.policies:q} --validation {input.validation:q} "
        "--before {input.before:q} --after {input.after:q} --tau {params.tau} "
        "--output {params.folder:q} >> {log:q} 2> >(tee -a {log:q} >&2)"


rule publish:
    input:
        shown=run.targets(),
        more=run.published_tables(),
        zoo=[f"{place}/README.md".format(task=task) for task in run.zoo_tasks for place in ZOO],
    output:
        f"{RUN}/SHA256SUMS",
        update(f"{RUN}/SHA256SUMS.unpublished"),  # what is not here keeps its hash
        f"{RUN}/config.yaml",
        f"{RUN}/lock.txt",
        f"{RUN}/lock-no-deps.txt",
    log:
        f"{RUN}/logs/publish.log",
    benchmark:
        f"{RUN}/benchmarks/publish.jsonl"
    localrule: True
    conda:
        "../../envs/evaluate.yaml"
    params:
        folder=lambda w, output: str(Path(output[0]).parent),
        config=lambda w: run.published_config(),
        locks=[str(run.from_root(f"envs/{name}")) for name in ("lock.txt", "lock-no-deps.txt")],
        code=run.code("publish/hashes"),
    message:
        "Hash what is published"
    shell:
        'python "$PREFINE_SCRIPTS" publish/hashes.py --folder {params.folder:q} '
        "--config {params.config:q} --locks {params.locks:q} >> {log:q} 2> >(tee -a {log:q} >&2)"
