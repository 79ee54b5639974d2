# PREFINE from data to report. See README.md for how to run it, config.yaml for what it does.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/own_common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/own_policy.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/overlap.smk"
include: "workflow/rules/studies.smk"
include: "workflow/rules/cost_gap.smk"
include: "workflow/rules/report.smk"


# On a cluster these run where Snakemake does: seconds each, less than a wait in a queue.
localrules:
    plan,
    dataset_statistics,
    runs,
    study_table,
    curves_table,
    table1,
    claims,
    provenance,
    fig1,
    fig2,
    fig3,
    fig4,
    fig5,
    fig6,
    fig7,
    fig8,
    fig9,
    fig10,
    fig11,
    fig12,
    fig13,
    own_learning_curves,
    control,
    level,
    likelihood,
    ceiling,
    paper_comparison,
    choose,
    before_after,
    fig_before_after,
    fig_cost_per_step,
    fig_own_learning,


rule all:
    default_target: True
    input:
        final_targets(),
