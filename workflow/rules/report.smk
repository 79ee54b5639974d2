# What the report says about itself. Its sections are in common.smk, its texts in workflow/report/.


rule provenance:
    input:
        training=all_training(),
        episodes=all_episodes(),
        manifests=task_paths(f"{RUN}/splits/{{task}}.json"),
    output:
        json=f"{RUN}/tables/provenance.json",
        html=report(
            f"{RUN}/tables/provenance.html",
            caption="../report/provenance.rst",
            category=section("Results"),
            labels={"item": "Provenance: versions, devices, data, config"},
        ),
    log:
        f"{RUN}/logs/provenance.log",
    benchmark:
        f"{RUN}/benchmarks/provenance.jsonl"
    conda:
        "../../envs/data.yaml"
    params:
        config=lambda w: as_json(config),  # a function, for there are braces in it
        code=code("provenance"),
    message:
        "Where the numbers come from"
    shell:
        "python scripts/provenance.py --training {input.training:q} "
        "--episodes {input.episodes:q} --manifests {input.manifests:q} "
        "--config {params.config:q} --json {output.json:q} --html {output.html:q} "
        ">> {log:q} 2> >(tee -a {log:q} >&2)"
