"""Fill the pages that report the published result from its tables."""

import argparse
from pathlib import Path

from prefine import reading
from prefine.errors import UserError
from prefine.files import write_text
from prefine.pipeline import cli
from prefine.report.filled import fill, known

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("docs/results.md", "docs/beyond.md", "README.md")


def main() -> None:
    parser = argparse.ArgumentParser(description=cli.summary(__doc__))
    parser.add_argument("pages", nargs="*", type=Path, help=f"default: {', '.join(PAGES)}")
    parser.add_argument("--result", type=Path, default=ROOT / "results/collected")
    parser.add_argument("--names", action="store_true", help="print what a page may name, and stop")
    args = parser.parse_args()
    numbers = known(args.result, ROOT / "workflow/paper/table1.csv")
    if args.names:
        print(*(f"{name}: {text.splitlines()[0][:80]}" for name, text in numbers.items()), sep="\n")
        return
    for path in args.pages or [ROOT / page for page in PAGES]:
        page = reading.read_text(path, reading.JSON)
        try:
            write_text(path, fill(page, numbers))
        except UserError as error:
            raise UserError(f"{path}: {error}") from None


if __name__ == "__main__":
    cli.run(main)
