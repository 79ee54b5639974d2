# What a run says at its end (scripts/prefine/pipeline/messages.py), and at its beginning.

from prefine.pipeline import messages
from prefine.pipeline.places import check_results
from prefine.status import plan as plans

AWAITED = messages.tasks_without_labels(config["labels"], Path(f"{RUN}/labels"))


# A dry run does not come here.
onstart:
    if config["source"] == "dsrl" and config["dsrl"]["offline"]:
        if message := how_to_help(config["dsrl"], MISSING_DATA):
            raise WorkflowError(f"offline is set. {message}")
    if workflow.is_main_process:
        try:
            check_results(Path(RUN))
        except UserError as error:
            raise WorkflowError(str(error)) from None
        gpus = workflow.global_resources["gpu"]
        plans.write(
            run,
            AWAITED,
            workflow.resource_settings.cores or 1,
            GPU * int(getattr(gpus, "value", gpus)),
            {str(path) for job in workflow.dag.needrun_jobs() for path in job.output},
        )


onsuccess:
    if not AWAITED:
        print(messages.where_results_are(Path(RUN)), file=sys.stderr, end="")


onerror:
    print(messages.what_went_wrong(log), file=sys.stderr, end="")
    if config["source"] == "dsrl":
        message = how_to_help(config["dsrl"], MISSING_DATA)
        if message and any(
            "Error in rule download" in Path(file).read_text("utf-8", "replace") for file in log
        ):
            print(message, file=sys.stderr)
