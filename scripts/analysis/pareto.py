"""Hypervolumes of the fronts of the study `pareto`, and what choosing a point of them costs."""

from prefine import files, frames
from prefine.analysis import pareto
from prefine.errors import UserError
from prefine.pipeline import cli
from prefine.report.tables import hypervolume_lines, hypervolume_note, markdown


def main() -> None:
    parser = cli.parser(__doc__, "csv choice markdown")
    for name in ("runs", "validation"):
        parser.add_argument(f"--{name}", nargs="?", help="table; none if the study has no runs")
    args = parser.parse_args()
    if not args.runs:
        raise UserError("the study pareto is off, or none of its tasks is among the config's")
    runs, validation = frames.read_csv(args.runs), frames.read_csv(args.validation)
    source = {"source": runs["source"].dropna().iloc[0]}
    table, choice = pareto.hypervolumes(runs), pareto.choices(runs, validation)
    episodes = int(validation["episodes"].min())
    choice = choice.assign(episodes=choice["k"] * episodes)
    table, choice = table.assign(**source), choice.assign(**source)
    files.write_table(args.csv, table)
    files.write_table(args.choice, choice)
    text = markdown(hypervolume_lines(table, choice), hypervolume_note(table, choice))
    files.write_text(args.markdown, text)
    print(text)


if __name__ == "__main__":
    cli.run(main)
