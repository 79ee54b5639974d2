"""Whether a record holds together: each step begins where the one before it ended."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from prefine.errors import UserError
from prefine.tasks import Task

log = logging.getLogger(__name__)
# DSRL's observations are metres, metres a second, radians, lidars, a tenth of them in Bullet tasks.
OBSERVATION_RANGE = 1e4
REWARD_RANGE = 1e4  # of a step; DSRL's largest return of a whole episode is 3418
FEW = 4  # a fourth of the numbers: another state differs in more of them, damage in fewer
FLIP_SHARE = 1e-3  # of steps; where more do not follow it is the file's way, not damage


@dataclass
class Links:
    """Counts over the blocks of a record, in order.

    Attributes:
        steps: that have a next one in the file.
        breaks: steps inside an episode whose next observation is not that of the next step.
        ends_inside: ends of episodes after which the same episode goes on.
        in_few_numbers: the first break that is in few numbers of the observation alone: step, how
            many, and the first of them.
    """

    steps: int = 0
    breaks: int = 0
    ends_inside: int = 0
    in_few_numbers: tuple[int, int, int] | None = None
    first_break: int | None = None
    first_end_inside: int | None = None
    _last: dict = field(default_factory=dict, repr=False)

    def add(self, block: Mapping[str, np.ndarray]) -> None:
        """Take the next rows: observations, next_observations, terminals, timeouts."""
        begin = self.steps + bool(self._last)  # rows so far
        rows = {key: block[key] for key in ("observations", "next_observations")}
        rows["ends"] = block["terminals"] | block["timeouts"]
        if self._last:
            rows = {key: np.concatenate([self._last[key], rows[key]]) for key in rows}
            begin -= 1
        self._last = {key: values[-1:].copy() for key, values in rows.items()}
        after, following = rows["next_observations"][:-1], rows["observations"][1:]
        ends, differ = rows["ends"][:-1], after != following
        n_differ = differ.sum(axis=1)
        broken, moved = ~ends & (n_differ > 0), (after != rows["observations"][:-1]).any(axis=1)
        inside = ends & (n_differ == 0) & moved
        few = np.flatnonzero(broken & (n_differ <= max(1, differ.shape[1] // FEW)))
        if len(few) and differ.shape[1] > 1 and self.in_few_numbers is None:
            step = int(few[0])
            self.in_few_numbers = begin + step, int(n_differ[step]), int(differ[step].argmax())
        for name, found in (("first_break", broken), ("first_end_inside", inside)):
            if getattr(self, name) is None and found.any():
                setattr(self, name, begin + int(found.argmax()))
        self.steps += len(ends)
        self.breaks += int(broken.sum())
        self.ends_inside += int(inside.sum())

    def findings(self) -> list[str]:
        """What a person should know of the record, a line each, with counts."""
        lines = []
        if self.breaks:
            lines.append(
                f"{self.breaks} steps inside an episode are followed by another observation than "
                f"their next one (first at step {self.first_break}); is an end missing there?"
            )
        if self.ends_inside:
            lines.append(
                f"{self.ends_inside} ends lie inside an episode: the next step goes on from there "
                f"(first at step {self.first_end_inside})"
            )
        return lines


def check_range(task: Task, block: Mapping[str, np.ndarray], start: int) -> None:
    """Refuse observations and rewards that no simulator of DSRL's gives.

    Raises:
        UserError: the key, the step and the value.
    """
    limits = {"observations": OBSERVATION_RANGE, "next_observations": OBSERVATION_RANGE}
    limits["rewards"] = REWARD_RANGE
    for key, limit in limits.items():
        if key not in block:
            continue
        wrong = np.abs(block[key]) > limit
        if wrong.any():
            place = np.argwhere(wrong)[0]
            raise UserError(
                f"{key}: {block[key][tuple(place)]:g} at step {start + int(place[0])} is beyond "
                f"anything that {task.name} gives ({limit:g}); the file is damaged, or of another "
                "task"
            )


def check_links(task: Task, links: Links) -> None:
    """Refuse a record of a DSRL task that does not hold together.

    Raises:
        UserError: with the first step and the counts.
    """
    wrong = links.breaks + links.ends_inside
    if links.in_few_numbers and links.breaks <= max(1, FLIP_SHARE * links.steps):
        step, n, column = links.in_few_numbers
        which = f"number {column}" if n == 1 else f"{n} numbers (the first is number {column})"
        raise UserError(
            f"next_observations at step {step} and observations at step {step + 1} differ in "
            f"{which} alone; the file is damaged"
        )
    if wrong > FLIP_SHARE * links.steps or links.ends_inside:
        raise UserError(f"of {task.name}: {'; '.join(links.findings())}; the file is damaged")
    for finding in links.findings():
        log.warning("%s: %s", task.name, finding)
