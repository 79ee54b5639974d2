# What a run says at its end (scripts/prefine/pipeline/messages.py).

from prefine.pipeline import messages

AWAITED = messages.tasks_without_labels(config["labels"], Path(f"{RUN}/labels"))


def label_pages():
    """Where a person must label first: all that can be made before that."""
    return expand(f"{RUN}/labels/{{task}}.html", task=AWAITED)


def your_turn():
    """One line a task that has no labels."""
    command = os.environ["PREFINE_COMMAND"]
    return [
        messages.no_labels_yet(
            task, *(Path(f"{RUN}/labels/{task}{end}") for end in (".html", ".csv")), own, command
        )
        for task, own in config["labels"].items()
        if task in AWAITED
    ]


onsuccess:
    if not AWAITED:
        print(messages.where_results_are(Path(RUN)), file=sys.stderr, end="")


onerror:
    print(messages.what_went_wrong(log), file=sys.stderr, end="")
    if config["source"] == "dsrl":
        message = how_to_help(config["dsrl"], MISSING_DATA)
        if message and any("Error in rule download" in Path(file).read_text() for file in log):
            print(message, file=sys.stderr)
