# What a run says at its end (scripts/prefine/pipeline/messages.py).

from prefine.pipeline import messages

AWAITED = messages.tasks_without_labels(config["labels"], Path(f"{RUN}/labels"))


onsuccess:
    if not AWAITED:
        print(messages.where_results_are(Path(RUN)), file=sys.stderr, end="")


onerror:
    print(messages.what_went_wrong(log), file=sys.stderr, end="")
    if config["source"] == "dsrl":
        message = how_to_help(config["dsrl"], MISSING_DATA)
        if message and any("Error in rule download" in Path(file).read_text() for file in log):
            print(message, file=sys.stderr)
