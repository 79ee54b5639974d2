# PREFINE from data to report. See README.md for how to run it, config.yaml for what it does.
from snakemake.utils import min_version

min_version("9.0")


configfile: str(Path(str(workflow.current_basedir)) / "config.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/behaviours.smk"
include: "workflow/rules/preferences.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/data_tables.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/own_policy.smk"
include: "workflow/rules/films.smk"
include: "workflow/rules/publish.smk"
include: "workflow/rules/messages.smk"


if AWAITED:

    # It has no output, so that it says so each time.
    rule all:
        default_target: True
        input:
            run.task_paths(f"{RUN}/labels/{{task}}.html", AWAITED),
        localrule: True
        params:
            text=lambda w: messages.stopped_for_labels(RUN, config["labels"], AWAITED, COMMAND),
        shell:
            "printf '%s\\n' {params.text:q} >&2"

else:

    rule all:
        default_target: True
        input:
            run.targets(),
