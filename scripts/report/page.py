"""The report of a run as one page that needs no network."""

from pathlib import Path

from prefine import files, frames
from prefine.pipeline import cli
from prefine.report import page


def main() -> None:
    parser = cli.parser(__doc__, "folder paper output", settings=cli.json_argument)
    parser.add_argument("--captions", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    captions = {path.stem: path.read_text(encoding="utf-8") for path in args.captions}
    run = page.Run(args.folder, args.settings["config"], args.settings["figures"], captions)
    text = page.write(run, frames.read_csv(args.paper))
    files.write_text(args.output, text)
    print(f"{args.output}: {len(text.encode()) / 1e6:.1f} MB")


if __name__ == "__main__":
    cli.run(main)
