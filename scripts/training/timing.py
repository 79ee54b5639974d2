"""Time every method alone on the machine, one run at a time (Figure 4, methods 7)."""

import pandas as pd
import torch
from prefine import files
from prefine.pipeline import cli
from prefine.tasks import find
from prefine.training.timing import device_name, time_method


def main() -> None:
    parser = cli.parser(
        __doc__,
        "data trajectories splits reference output",
        task=find,
        settings=cli.json_argument,
        methods=cli.json_argument,
    )
    parser.add_argument("--tau", type=int, help="threshold; none if labels make the sets")
    args = parser.parse_args()
    progress = cli.Progress(f"timing {args.task.name}", len(args.methods), "methods")
    rows = []
    for name, settings in args.methods.items():
        rows += time_method(name, settings, args.settings, args.task, args.tau, args)
        progress.update()
    progress.close()
    about = {"device": device_name(), "torch": torch.__version__}
    threads = next(iter(args.methods.values()))["threads"]
    table = pd.DataFrame(rows).assign(**about, threads=threads)
    medians = table.groupby(["method", "phase"])["ms"].quantile([0.25, 0.5, 0.75]).unstack()
    print(medians.to_string())
    files.write_table(args.output, table)


if __name__ == "__main__":
    cli.run(main)
