# PREFINE from data to report. See README.md for how to run it, config.yaml for what it does.
from snakemake.utils import min_version

min_version("9.0")


configfile: str(Path(str(workflow.current_basedir)) / "config.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/preferences.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/own_policy.smk"


rule all:
    default_target: True
    input:
        run.targets(),
