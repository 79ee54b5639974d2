"""Refuse config files that are more than plain data, before Snakemake reads them.

Snakemake reads `--configfile` before it reads the Snakefile, and runs Python that stands in it.
The profiles of this project run this script first; the Snakefile's own check comes too late.
"""

import sys
from itertools import takewhile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from prefine import places
from prefine.config import strict_yaml as overlays
from prefine.errors import UserError


def named(arguments: list[str]) -> list[str]:
    """The files of all --configfile options, also in their short forms."""
    files = []
    for place, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option.startswith("--configf"):
            rest = takewhile(lambda text: not text.startswith("-"), arguments[place + 1 :])
            files += [*([value] if equals else []), *rest]
    return files


def main() -> None:
    places.find()  # Snakemake makes a cache before it reads the Snakefile
    try:
        for path in ["config.yaml", *named(sys.argv[1:])]:
            if Path(path).exists():
                overlays.check(path)
    except UserError as error:
        sys.exit(f"ERROR: {error}")


if __name__ == "__main__":
    main()
