"""What `make status` prints of a run, and the page that refreshes itself."""

import html
import time

from prefine.analysis.names import method_label
from prefine.files import template
from prefine.status.look import Row, Status, Work

PAGE = template(__file__, ".html")
DOES = {  # rule: what is said of it
    "collect": "data",
    "download": "data",
    "import_data": "data",
    "rollouts": "data",
    "pretrain": "training",
    "import_policy": "policy",
    "train": "training",
    "curves": "curves",
    "evaluate": "evaluation",
    "validate": "validation",
    "compare": "comparison",
    "timing": "timing",
}
HEAD = ("task", "method", "study", "done", "rate", "left", "loss", "reward", "cost")
NOTE = (
    "loss: the mean of the runs, where it was last logged. reward, cost: the last evaluation, "
    "normalised as in Table 1 (a cost of at most 1 is safe) or raw."
)


def clock(seconds: float | None) -> str:
    """Seconds as 1:02:03 or 0:07; nothing where they are not known."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def of_work(work: Work) -> str:
    """A job in two or three words."""
    name = DOES.get(work.job.rule, work.job.rule)
    if work.state in ("done", "waits"):
        return f"{name} {work.state}"
    how = {"runs": "", "stopped": ", stopped", "failed": ", failed"}[work.state]
    return f"{name} {100 * work.share:.0f} %{how}"


def of_row(row: Row) -> str:
    """What is done of a row."""
    states = {work.state for work in row.works}
    if len(states) == 1 and states <= {"done", "waits"}:
        return states.pop()
    return "; ".join(map(of_work, row.works))


def cells(row: Row) -> list[str]:
    """A row of the table."""
    now = [work for work in row.works if work.state == "runs"]
    rate = "; ".join(work.meter.rate for work in now if work.meter)
    lefts = [work.left for work in row.works]
    left = clock(sum(lefts)) if None not in lefts and sum(lefts) > 0 else ""
    label = method_label(row.method)
    return [row.task, label, row.name, of_row(row), rate, left, row.loss, row.reward, row.cost]


def headline(status: Status) -> str:
    """The run as a whole, in one line."""
    works = status.works
    done = sum(work.state == "done" for work in works)
    count = f"{done} of {len(works)} long jobs done"
    if done == len(works):
        return f"{status.folder}: {count}; figures and tables follow or are there"
    how = "is going on" if status.running else "does not run; the same command goes on with it"
    if status.left is None:
        left = "time left unknown yet"
    else:
        more = "at least " if status.at_least else "about "
        left = f"{more}{clock(status.left)} left on {status.plan.cores} cores"
    return f"{status.folder}: {how}; {count}; {left}"


def lines_before(status: Status) -> list[str]:
    """What stands above the table."""
    if status.plan is None:
        return [f"{status.folder}: nothing has begun here"]
    lines = [headline(status)]
    if status.plan.awaited:
        lines.append(f"Labels are awaited for {', '.join(map(ascii, status.plan.awaited))}")
    return lines


def text(status: Status) -> str:
    """The status as text for a terminal."""
    lines = lines_before(status)
    if status.rows:
        table = [list(HEAD), *map(cells, status.rows)]
        kept = [n for n in range(len(HEAD)) if any(line[n] for line in table[1:])]
        widths = {n: max(len(line[n]) for line in table) for n in kept}
        lines += [
            "",
            *("  ".join(f"{line[n]:{widths[n]}}" for n in kept).rstrip() for line in table),
        ]
        lines += ["", NOTE]
    return "\n".join([*lines, *status.problems])


def page(status: Status, every: float | None) -> str:
    """The status as a page, which loads itself again every so many seconds unless it is None."""

    def line(words: list[str], tag: str) -> str:
        return "".join(f"<{tag}>{html.escape(word)}</{tag}>" for word in words)

    rows = [f"<tr>{line(cells(row), 'td')}</tr>" for row in status.rows]
    works = status.works
    share = sum(work.share for work in works) / len(works) if works else 0.0
    return PAGE.substitute(
        refresh=f'<meta http-equiv="refresh" content="{every:.0f}">' if every else "",
        title=html.escape(str(status.folder)),
        before="".join(f"<p>{html.escape(text)}</p>" for text in lines_before(status)),
        share=f"{100 * share:.0f}",
        table=f"<table><tr>{line(list(HEAD), 'th')}</tr>{''.join(rows)}</table>" if rows else "",
        problems="".join(f'<p class="problem">{html.escape(own)}</p>' for own in status.problems),
        note=html.escape(NOTE),
        time=time.strftime("%Y-%m-%d %H:%M:%S"),
    )
