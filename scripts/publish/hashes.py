"""Write the config and the lock of a result that is published, and the hash of each file."""

import logging
from pathlib import Path

import yaml
from prefine import files, results
from prefine.errors import UserError
from prefine.pipeline import cli, published


def main() -> None:
    parser = cli.parser(__doc__, "folder", config=cli.json_argument)
    parser.add_argument("--locks", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    folder = args.folder
    text = yaml.safe_dump(args.config, sort_keys=False, allow_unicode=True, width=100)
    files.write_text(folder / "config.yaml", f"# The whole config of this run.\n{text}")
    for lock in args.locks:
        files.write_text(folder / lock.name, lock.read_text(encoding="utf-8"))
    names = published.files_of(folder, published.PATTERNS)
    for name in names:
        if results.note_of(folder / name).exists():
            results.intact(folder / name, published.LARGEST)
    size = sum((folder / name).stat().st_size for name in names)
    if size > published.LARGEST:
        largest = sorted(names, key=lambda name: -(folder / name).stat().st_size)[:5]
        raise UserError(
            f"{folder}: {size:,} bytes would be published, {published.LARGEST:,} are allowed; the "
            f"largest files: {', '.join(largest)}"
        )
    others = published.unpublished(folder)
    files.write_text(folder / published.OTHERS, others)
    files.write_text(folder / published.SUMS, published.write_lines(folder, names))
    logging.info("%d files of %d bytes, %d others hashed", len(names), size, others.count("\n"))


if __name__ == "__main__":
    cli.run(main)
