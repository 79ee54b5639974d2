"""Put a result and its policies where they are published: into this checkout, or another one.

python scripts/put_result.py results/collected   (after: snakemake publish --configfile ...)
"""

import argparse
import shutil
from pathlib import Path

from prefine.errors import UserError
from prefine.pipeline import cli, published
from prefine.pipeline.published import OTHERS, SUMS

ROOT = Path(__file__).resolve().parents[1]
ZOO = "scripts/prefine/zoo"
LARGEST_ZOO = 15_000_000  # bytes


def put_result(source: Path, target: Path) -> int:
    """Copy the published files of a run; remove those that were published before and are no more.

    Raises:
        UserError: it was not hashed, or has changed since.
    """
    if not (sums := published.read_sums(source / SUMS)):
        raise UserError(f"{source}: has no {SUMS}; run `snakemake publish` with its config first")
    if changed := published.differing(source):
        raise UserError(
            f"{source}: {len(changed)} files are not what was hashed, such as {changed[0]}; run "
            "`snakemake publish` again"
        )
    if source.resolve() == target.resolve():
        return len(sums)
    for name in published.read_sums(target / SUMS).keys() - sums.keys():
        (target / name).unlink(missing_ok=True)
    for name in [*sums, SUMS, OTHERS]:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    return len(sums)


def put_zoo(source: Path, target: Path) -> int:
    """Make the zoo of the package that of a run; return its bytes.

    What the run names and has not here stays as it is.

    Raises:
        UserError: it is larger than is allowed.
    """
    paths = [source / name for name in published.files_of(source, published.ZOO)]
    named = published.read_sums(source / OTHERS)
    there = {f"zoo/{path.relative_to(target).as_posix()}": path for path in target.rglob("*.*")}
    kept = {name: path for name, path in there.items() if name in named}
    after = kept | {path.relative_to(source).as_posix(): path for path in paths}
    size = sum(path.stat().st_size for path in after.values())
    if size > LARGEST_ZOO:
        raise UserError(f"{source}/zoo: has {size:,} bytes, {LARGEST_ZOO:,} are allowed")
    for name in there.keys() - kept.keys():
        there[name].unlink()
    for path in paths:
        place = target / path.relative_to(source / "zoo")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    return size


def main() -> None:
    parser = argparse.ArgumentParser(description=cli.summary(__doc__))
    parser.add_argument("run", type=Path, help="results/{run}, here or elsewhere")
    parser.add_argument("--to", type=Path, default=ROOT, help="the checkout; default: this one")
    args = parser.parse_args()
    n = put_result(args.run, args.to / "results" / args.run.resolve().name)
    size = put_zoo(args.run, args.to / ZOO)
    print(f"{n} files, and {size:,} bytes of policies in {ZOO}")


if __name__ == "__main__":
    cli.run(main)
