# pi_ref and a fine-tuned policy side by side in one episode: a film for each task.


rule films:
    input:
        run.task_paths(f"{RUN}/films/{{task}}.html", run.filmed),
    localrule: True


rule film:
    input:
        policies=run.film_policies,
        choice=run.film_choice,
        episodes=run.film_episodes,
        module=run.own_module,
    output:
        folder=directory(f"{RUN}/films/{{task}}"),  # film.mp4, film.webp, film.json
        page=f"{RUN}/films/{{task}}.html",
    log:
        f"{RUN}/logs/films/{{task}}.log",
    benchmark:
        f"{RUN}/benchmarks/films/{{task}}.jsonl"
    conda:
        "../../envs/films.yaml"
    resources:
        mem_mb=4000,
    params:
        policies=lambda w, input: run.film_arguments(w, input),
        settings=lambda w: run.film_settings(w),
        code=run.code("films/film"),
    message:
        "Film {wildcards.task} before and after"
    shell:
        'python "$PREFINE_SCRIPTS" films/film.py {params.policies:q} '
        "--episodes {input.episodes:q} --module {input.module:q} --settings {params.settings:q} "
        "--output {output.folder:q} --page {output.page:q} >> {log:q} 2> >(tee -a {log:q} >&2)"
