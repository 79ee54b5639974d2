"""Refuse config files that are more than plain data, before Snakemake reads them.

Snakemake reads `--configfile` before it reads the Snakefile, and runs Python that stands in it.
The profiles of this project run this script first; the Snakefile's own check comes too late.
Folders in which Snakemake itself would fail are refused here too.
"""

import difflib
import sys
from itertools import takewhile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from prefine import caches
from prefine.config import strict_yaml
from prefine.errors import UserError
from prefine.pipeline.places import check_places


def named(arguments: list[str]) -> list[str]:
    """The files of all --configfile options, also in their short forms."""
    return values_of(arguments, lambda option: option.startswith("--configf"))


def settings(arguments: list[str]) -> list[str]:
    """The KEY=VALUE of all --config options."""
    return values_of(arguments, lambda option: option in ("--config", "-C"))


def values_of(arguments: list[str], chosen) -> list[str]:
    """What follows the options that are ``chosen``, up to the next option."""
    values = []
    for place, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option.startswith("-") and chosen(option):
            rest = takewhile(lambda text: not text.startswith("-"), arguments[place + 1 :])
            values += [*([value] if equals else []), *rest]
    return values


def check_file(path: str) -> None:
    """Check a file that the command line names; a near name is told if it is not there."""
    try:
        strict_yaml.check(path)
    except UserError as error:
        if "is not there" not in str(error):
            raise
        folder = Path(path).parent
        others = [str(file) for file in folder.glob("*.y*ml")] if folder.is_dir() else []
        close = difflib.get_close_matches(path, others, n=1, cutoff=0.6)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(f"{error}{hint}") from None


def main() -> None:
    try:
        caches.find()  # Snakemake makes a cache before it reads the Snakefile
        check_places(Path.cwd())
        if Path("config.yaml").exists() or Path("config.yaml").is_symlink():
            strict_yaml.check("config.yaml")
        for path in named(sys.argv[1:]):
            check_file(path)
        for text in settings(sys.argv[1:]):
            key, equals, value = text.partition("=")
            if equals:  # else Snakemake says what is wrong with it
                strict_yaml.check_text(f"--config {key}", value.encode(), a_value=True)
    except UserError as error:
        sys.exit(f"ERROR: {error}")


if __name__ == "__main__":
    main()
