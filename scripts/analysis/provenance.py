"""Where a run's numbers come from: versions, devices, hashes of data, config."""

from pathlib import Path

from prefine import files
from prefine.pipeline import cli
from prefine.report import provenance as records
from prefine.rows import read_manifest


def main() -> None:
    parser = cli.parser(__doc__, "json", config=cli.json_argument)
    for name in ("training", "episodes", "manifests"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    jobs = []
    for path in args.training:
        record = records.read_record(path)
        jobs.append(records.job(str(path), records.TRAINING, record, record["task"]["name"]))
    for path in args.episodes:
        record = records.read_record(path)
        # episodes/[study/]task[/method].parquet; the reference policies' tables end in the task.
        task = path.stem if path.parent.name == "reference" else path.parent.name
        jobs.append(records.job(str(path), records.EVALUATION, record, task))
    manifests = [read_manifest(path) for path in args.manifests]
    record = records.together(jobs, manifests, args.config)
    files.write_json(args.json, record)
    print(f"{len(jobs)} jobs; disagreements: {record['disagreements'] or 'none'}")


if __name__ == "__main__":
    cli.run(main)
