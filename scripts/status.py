"""Say how far a run is, from its files; with --watch again and again, also as a page.

make status RUN=quickstart
make watch RUN=quickstart
"""

import argparse
import os
import sys
import time
from pathlib import Path

from prefine import files
from prefine.errors import UserError
from prefine.pipeline.cli import summary
from prefine.status import page as status_page
from prefine.status.look import look
from prefine.status.plan import FILE


def newest() -> Path:
    """The run that began last; the folder of all where none has."""
    begun = sorted(Path("results").glob(f"*/{FILE}"), key=lambda path: path.stat().st_mtime)
    return begun[-1].parents[1] if begun else Path("results")


def main() -> None:
    """Print once, or until the run has ended."""
    parser = argparse.ArgumentParser(description=summary(__doc__))
    parser.add_argument("folder", type=Path, nargs="?", help="results/{run}; the newest by default")
    parser.add_argument("--watch", type=float, metavar="SECONDS", help="again every so often")
    parser.add_argument("--page", type=Path, help="write the page there; with --watch in the run")
    args = parser.parse_args()
    try:
        folder = args.folder or newest()
        if not folder.is_dir():
            raise UserError(f"{folder}: is not there; `make status RUN=...` takes results/RUN")
        page = args.page or (folder / "status.html" if args.watch else None)
        show(folder, page, args.watch)
    except UserError as error:
        sys.exit(f"ERROR: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # such as `| head`; Python would complain once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show(folder: Path, page: Path | None, every: float | None) -> None:
    """Print the status and write its page; with ``every`` until all is done, or Ctrl-C."""
    now = look(folder)
    print(status_page.text(now), flush=True)
    try:
        while every and not now.done:
            files.write_text(page, status_page.page(now, every))
            print(f"{page} refreshes itself; Ctrl-C ends it, not the run", flush=True)
            time.sleep(every)
            now = look(folder)
            print(f"\n{status_page.text(now)}", flush=True)
    except KeyboardInterrupt:
        print()
    if page:
        files.write_text(page, status_page.page(now, None))


if __name__ == "__main__":
    main()
