# One rule for each figure: what it reads stands at the head of its script (prefine/pipeline/figures.py).

for figure in run.figures():

    rule:
        name:
            figure.rule
        input:
            **figures.inputs(run, figure),
        output:
            png=f"{RUN}/figures/{figure.file}.png",
            others=multiext(f"{RUN}/figures/{figure.file}", ".pdf", ".csv"),
        log:
            f"{RUN}/logs/{figure.rule}.log",
        benchmark:
            f"{RUN}/benchmarks/{figure.rule}.jsonl"
        localrule: True
        conda:
            "../../envs/plot.yaml"
        params:
            **figures.facts(run, figure),
            script=figure.script,
            options=figures.options(run, figure),
            code=run.code(f"figures/{figure.script}"),
        message:
            figure.title
        # It is read when the job runs, when `figure` is the last one: params alone may stand here.
        shell:
            'python "$PREFINE_SCRIPTS" figures/{params.script}.py {params.options:q} '
            "--output {output.png:q} >> {log:q} 2> >(tee -a {log:q} >&2)"
