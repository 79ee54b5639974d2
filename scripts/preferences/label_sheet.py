"""Write the table in which a person labels trajectories, and a page to do it on."""

from prefine import files
from prefine.data.hdf5 import read
from prefine.errors import UserError
from prefine.pipeline import cli
from prefine.preferences.label_page import page
from prefine.preferences.labels import sheet
from prefine.tasks import find


def main() -> None:
    parser = cli.parser(__doc__, "data trajectories output page", task=find, axes=cli.json_argument)
    args = parser.parse_args()
    first, second = args.axes
    if max(args.axes) >= args.task.obs_dim:
        raise UserError(
            f"config: sheet_axes.{args.task.name}: {args.axes} is not allowed; observations are "
            f"0 to {args.task.obs_dim - 1}"
        )
    data = read(args.data, args.task, ("observations", "rewards"))
    trajectories = files.read_csv(args.trajectories)
    spans = [slice(row.start, row.start + row.length) for row in trajectories.itertuples()]
    paths = [data["observations"][span][:, [first, second]] for span in spans]
    rewards = [data["rewards"][span] for span in spans]
    table = sheet(trajectories)
    files.write_table(args.output, table)
    files.write_text(args.page, page(args.task.name, table, paths, rewards, (first, second)))


if __name__ == "__main__":
    cli.run(main)
