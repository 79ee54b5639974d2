"""The command `snakemake` as people type it: `snakemake --cores 8 --resources gpu=1 all`.

Snakemake reads every word behind `--resources` as NAME=VALUE, also a target, and ends in a
traceback. `make setup` puts this in its place in .venv/bin: words behind such a list that are no
pairs become targets, and Snakemake's own `main` does the rest.
"""

import re
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from prefine import caches
from prefine.errors import UserError
from prefine.pipeline import figures

RULE = re.compile(r"^\s*(?:use )?rule (?:\w+ as )?(\w+)", re.MULTILINE)
PLACES = ("-s", "--snakefile", "-d", "--directory")


def pair_options(parser: ArgumentParser) -> set[str]:
    """The options that take a list of pairs, such as NAME=VALUE."""
    return {
        name
        for action in parser._actions
        for name in action.option_strings
        if action.nargs in ("+", "*") and "=" in _shape(action.metavar)
    }


def _shape(metavar: str | tuple | None) -> str:
    return metavar if isinstance(metavar, str) else "".join(metavar or ())


def meant(word: str, parser: ArgumentParser) -> str:
    """The option that a word is, or the only one that it abbreviates."""
    known = [name for action in parser._actions for name in action.option_strings]
    if word in known or not word.startswith("--"):
        return word
    longer = [name for name in known if name.startswith(word)]
    return longer[0] if len(longer) == 1 else word


def with_targets_last(arguments: Sequence[str], parser: ArgumentParser) -> tuple[list, list]:
    """Take words out of lists of pairs that are none; return the rest and these words."""
    pairs = pair_options(parser)
    kept: list[str] = []
    targets: list[str] = []
    in_list = True  # so that targets stand together: those that come first, too
    for place, word in enumerate(arguments):
        if word == "--":
            return kept, [*targets, *arguments[place + 1 :]]
        if word.startswith("-"):
            in_list = meant(word, parser) in pairs
        if in_list and not word.startswith("-") and "=" not in word:
            targets.append(word)
        else:
            kept.append(word)
    return kept, targets


def rule_names(folder: Path) -> set[str]:
    """The names of the rules of the workflow in a folder, those of figures too."""
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("workflow/rules/*.smk")]
    drawn = {figure.rule for figure in figures.read(folder / "scripts/figures")}
    return {"all", *RULE.findall("\n".join(texts))} | drawn


def main() -> None:
    """Rearrange the arguments and run Snakemake."""
    try:
        caches.find_user()
    except UserError as error:
        sys.exit(f"ERROR: {error}")
    from snakemake import cli

    arguments, targets = with_targets_last(sys.argv[1:], cli.get_argument_parser())
    elsewhere = any(word.split("=")[0] in PLACES for word in arguments)
    for word in targets:
        if not elsewhere and not re.search(r"[./]", word) and word not in rule_names(Path()):
            sys.exit(f"ERROR: {word!r} is neither a pair NAME=VALUE nor a target of this workflow")
    sys.argv[1:] = [*arguments, "--", *targets] if targets else arguments
    # The workflow that runs may be another copy of this project, with a library of its own.
    for name in [name for name in sys.modules if name.split(".")[0] == "prefine"]:
        del sys.modules[name]
    sys.exit(cli.main())
