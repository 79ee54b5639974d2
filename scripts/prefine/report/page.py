"""The report of a run as one page that needs no network."""

import base64
import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import docutils.core
import jinja2
import pandas as pd
from markupsafe import Markup

from prefine import frames, results
from prefine.analysis.claims import verdict as verdicts
from prefine.analysis.names import SOURCE_LABELS
from prefine.files import styles
from prefine.report import answer, cloud, provenance, tables
from prefine.report.colors import METHOD_COLORS

LARGEST = 20_000_000  # bytes of the page; films that go beyond stay beside it
SLUGS = {
    verdicts.HOLDS: "holds",
    verdicts.FAILS: "fails",
    verdicts.SMALL: "small",
    verdicts.OPEN: "open",
}
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)


@dataclass(frozen=True)
class Table:
    """Cells of HTML: a heading, then rows; a note, which is text."""

    id: str
    title: str
    lines: list[list[str]]
    note: str = ""

    @property
    def head(self) -> list[Markup]:
        return [_cell(cell) for cell in self.lines[0]]

    @property
    def rows(self) -> list[list[Markup]]:
        """Without the rows that are a heading alone."""
        return [[*map(_cell, line)] for line in self.lines[1:] if any(line[1:])]


def _cell(text: str) -> Markup:
    """A cell as HTML, its numbers with their %, ± and intervals in one line."""
    space = "\N{NO-BREAK SPACE}"
    text = re.sub(r"(?<=\d) %", f"{space}%", text).replace(" ± ", f"{space}±{space}")
    text = re.sub(r"\[[^\[\]\n<>]{,30}\]", lambda found: found[0].replace(" ", space), text)
    text = text.replace(" / ", f"{space}/ ").replace("π_ref", "π<sub>ref</sub>")
    return Markup(re.sub(r"\bD_(n?p|ref)\b", r"D<sub>\1</sub>", text))


def with_indices(text: str) -> Markup:
    """A text as HTML, the indices of π_ref, D_p and D_np set low."""
    return _cell(html.escape(text, quote=False))


TEMPLATES.filters["indices"] = with_indices


class Run:
    """A finished run's folder, and what its report says.

    Args:
        folder: results/{run}.
        config: the whole config.
        figures: file, title, section, caption (a name in ``captions``) and params of each.
        captions: name -> a text in reStructuredText with Jinja, as Snakemake's report reads it.
    """

    def __init__(
        self, folder: Path, config: Mapping, figures: list[Mapping], captions: Mapping[str, str]
    ):
        self.folder, self.config, self.captions = folder, config, captions
        self.figures_of_config = figures
        self.own_policies = (folder / "tables/before_after.csv").exists()

    def table(self, name: str) -> pd.DataFrame | None:
        """A table of the run, if it has it."""
        path = self.folder / f"tables/{name}.csv"
        if not path.exists():
            return None
        table = frames.read_csv(path)
        return table.fillna({"missing": ""}) if "missing" in table else table

    def caption(self, name: str, **params: object) -> Markup:
        """A caption as HTML."""
        told = SimpleNamespace(config=self.config, params=SimpleNamespace(**params))
        text = jinja2.Template(self.captions[name]).render(snakemake=told)
        settings = {"raw_enabled": False, "file_insertion_enabled": False, "report_level": 4}
        parts = docutils.core.publish_parts(
            text, writer="html5", settings_overrides=settings | {"doctitle_xform": False}
        )
        return _cell(parts["body"])

    def figures(self) -> list[dict]:
        """The pictures with their captions, in the order of their sections."""
        found = []
        for own in self.figures_of_config:
            picture = self.folder / f"figures/{own['file']}.png"
            text = self.caption(own["caption"], **own["params"])
            first = re.split(r"(?<=\.)\s", Markup(text).striptags(), maxsplit=1)[0]
            found.append(
                {
                    "id": f"figure_{own['file']}",
                    "title": re.sub(r"^Figure 0", "Figure ", own["title"]),
                    "section": own["section"],
                    "src": embedded(picture, "image/png"),
                    "size": png_size(picture),
                    "alt": f"{own['title']}: {first}",
                    "caption": text,
                    "pdf": f"figures/{own['file']}.pdf",
                    "csv": f"figures/{own['file']}.csv",
                    "plane": self.plane(own["file"]),
                }
            )
        return found

    def plane(self, figure: str) -> dict:
        """A figure of fronts as marks that can be pointed at; of others there is none."""
        path = self.folder / f"figures/{figure}.csv"
        if not figure.startswith("pareto_") or not path.exists():
            return {}
        drawn = frames.read_csv(path)
        if "front" not in drawn:  # it says what is missing
            return {}
        return cloud.of_fronts(drawn)

    def films(self, room: int) -> list[dict]:
        """The films of the run: as many as there is room for, the others by their address."""
        found = []
        for task in sorted(self.config["tasks"]):  # others may lie there, of an earlier config
            path = self.folder / f"films/{task}/film.mp4"
            if not path.exists():
                continue
            about = results.read_object(path.with_name("film.json"))
            size = path.stat().st_size * 4 // 3
            fits, room = size <= room, room - (size if size <= room else 0)
            place = path.relative_to(self.folder).as_posix()
            found.append(
                about | {"src": embedded(path, "video/mp4") if fits else "", "place": place}
            )
        return found

    def claims(self) -> dict | None:
        """The paper's claims, and how many of them hold."""
        table = self.table("claims")
        if table is None:
            return None
        words = ("tasks", "missing", "device", "reason", "paper", "where")
        text = table.fillna(dict.fromkeys(words, ""))
        rows = [claim(row) for row in text.to_dict("records")]
        count = table["verdict"].value_counts()
        tally = [(name, slug, int(count.get(name, 0))) for name, slug in SLUGS.items()]
        return {"rows": rows, "tally": tally}

    def results(self, paper: pd.DataFrame) -> list[Table]:
        """Table 1 and, of the user's own policies, before and after."""
        found, table = [], self.table("table1")
        if self.own_policies:
            lines = tables.before_after_lines(self.table("before_after"))
            found.append(Table("before_after", "Before and after", _escaped(lines)))
        if table is None:
            return found
        beside, why = paper.set_index(["task", "method"]), ""
        if set(table["source"]) != {"dsrl"}:
            beside = beside.iloc[:0]
            why = (
                " The paper’s numbers are not beside them: they are of policies from DSRL’s data, "
            )
            why += "these of other data, so that a difference would say nothing about the method."

        def render(cell: pd.Series) -> str:
            text = tables.score_text(cell, "<b>", "</b>").replace(" / ", "<br>", 1)
            text = re.sub(r"± [\d.,]+", r"<small>\g<0></small>", text)
            place = (cell["task"], cell.name)
            if place not in beside.index:
                return text
            own = beside.loc[place]
            return f"{text}<br><small>paper {own['reward']:.2f} / {own['cost']:.2f}</small>"

        note = tables.caption(table).replace("reward / normalised", "reward, below it normalised")
        lines = tables.table1_lines(table, render)  # reward over cost: eight methods side by side
        found.append(Table("table1", "Table 1", lines, note + why))
        asked = self.config["studies"].get("pareto")  # an earlier config's table may lie there
        if asked and (fronts := self.table("pareto")) is not None:
            both = fronts, self.table("pareto_choice")
            lines, note = tables.hypervolume_lines(*both), tables.hypervolume_note(*both)
            found.append(Table("pareto", "The trade-off: hypervolumes", _escaped(lines), note))
        return found

    def data(self) -> list[Table]:
        """What the datasets are like."""
        kinds = {
            "likeness": ("Datasets beside DSRL’s", tables.likeness_lines, tables.likeness_note),
            "dataset_statistics": (
                "Tables 2 and 3: dataset statistics",
                tables.statistics_lines,
                tables.statistics_note,
            ),
        }
        return [
            Table(name, title, _escaped(lines(table)), note(table))
            for name, (title, lines, note) in kinds.items()
            if (table := self.table(name)) is not None
        ]

    def answer(self) -> dict:
        """What the first screen says."""
        source = SOURCE_LABELS.get(self.config["source"], self.config["source"])
        if self.own_policies:
            headline, more, sure = answer.of_own_policies(self.table("before_after"))
            told = {"headline": headline, "more": more, "sure": sure, "rows": [], "length": ""}
            return told | {"source": source}
        runs = self.table("runs")
        iterations = runs.groupby("method")["train_iterations"].max().to_dict()
        rows = answer.of_methods(self.table("table1"), iterations)
        return {
            "headline": answer.headline(rows),
            "more": [],
            "rows": rows,
            "source": source,
            "sure": answer.certainty(rows),
            "length": answer.length(rows),
        }

    def choices(self) -> dict[str, str]:
        """Task -> why its policy was chosen."""
        paths = [self.folder / f"choice/{task}.json" for task in self.config["tasks"]]
        return {path.stem: results.read_object(path)["why"] for path in paths if path.exists()}


def claim(row: Mapping) -> dict:
    """A claim as the page shows it."""
    names = ("verdict", "says", "where", "reason", "rule", "paper")
    told = {name: row[name] for name in names} | verdicts.in_words(row)
    return told | {"slug": SLUGS[row["verdict"]]}


def _escaped(lines: Iterable[Iterable[str]]) -> list[list[str]]:
    return [[html.escape(cell, quote=False) for cell in line] for line in lines]


def embedded(path: Path, kind: str) -> str:
    """A file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def png_size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG in pixels, from its header."""
    with path.open("rb") as file:
        head = file.read(24)
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def write(run: Run, paper: pd.DataFrame) -> str:
    """The page.

    Args:
        paper: the paper's Table 1: task, method, reward, cost.
    """
    figures, runs = run.figures(), run.table("runs")
    room = LARGEST - 1_000_000 - sum(len(figure["src"]) for figure in figures)
    record = results.read_object(run.folder / "tables/provenance.json")
    lines = provenance.page_lines(record)
    note = "As the jobs recorded it when they ran; tables/provenance.json has every job."
    return TEMPLATES.get_template("page.html").render(
        run=run,
        config=run.config,
        colors=METHOD_COLORS,
        answer=run.answer(),
        claims=run.claims(),
        results=run.results(paper),
        choices=run.choices(),
        cloud=None if runs is None else cloud.of_runs(runs),
        figures=figures,
        films=run.films(room),
        data=run.data(),
        provenance=Table("provenance_table", "Where the numbers come from", lines, note),
        css=Markup(styles(__file__)),
        js=Markup(Path(__file__).with_suffix(".js").read_text(encoding="utf-8")),
    )
