"""A film of two policies in the same episode, and the page that plays it."""

import base64
import html
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prefine import files
from prefine.films import encode, views
from prefine.films.choose import Choice
from prefine.films.panels import Film, Side, film_steps
from prefine.films.play import Played, looked_at, play
from prefine.films.scenes import reading_of
from prefine.numbers import four_digits
from prefine.policies.stack import PolicyStack
from prefine.simulators.make import FIRST_SEEDS
from prefine.tasks import Task

log = logging.getLogger(__name__)

PAGE = files.template(__file__, ".html")
FRAMES = 100  # that a film has at least, if there are as many steps
SHAPE = 3 / 4  # height of a picture for its width
TOLERANCE = 1e-6  # relative, of sums against the evaluation's


@dataclass(frozen=True)
class Policy:
    """A policy of a film: a stack of one, its name and colour, what the evaluation recorded."""

    stack: PolicyStack
    name: str
    color: str
    recorded: Mapping[str, float]


def film(
    folder: Path, task: Task, policies: tuple[Policy, Policy], choice: Choice, settings: Mapping
) -> dict:
    """Write ``film.mp4`` and ``film.webp`` into a folder; return what they show.

    Args:
        policies: before and after.
        settings: ``steps``, ``every``, ``width``, ``view`` and ``action_mode``.

    Raises:
        NoPicture: the environment cannot be filmed.
    """
    most = min(settings["steps"], int(max(own.recorded["length"] for own in policies)))
    every = interval(most, settings["every"])
    sides, told = [], {}
    for policy in policies:
        at = looked_at(every, most)
        played, view, dt = _play(policy.stack, task, choice.episode, at, settings)
        sides.append(Side(policy.name, policy.color, played))
        told[policy.name] = played.sums | {"cost_steps": _cost_steps(played)}
        _compare(policy, played.sums)
    steps = film_steps(every, most, tuple(sides))
    longest = max(len(side.played.rewards) for side in sides)
    speed = every * dt * encode.RATE if dt else None
    pace = f", {pace_of(speed)}" if speed else ""
    foot = f"{task.name}, episode {choice.episode}, step {{step}} of {longest}{pace}"
    made = Film(tuple(sides), steps, foot, _end(task, sides))
    small = encode.Small(len(made))
    frames = encode.write_mp4(folder / "film.mp4", map(small.add, made), made.size)
    small.write(folder / "film.webp")
    return {
        "task": task.name,
        "run": choice.run,
        "episode": choice.episode,
        "seed": FIRST_SEEDS["evaluate"] + choice.episode,
        "why": choice.why,
        "view": view,
        "steps": steps[-1],
        "every": every,
        "speed": speed,
        "frames": len(made),
        "seconds": frames / encode.RATE,
        "size": list(made.size),
        "policies": told,
    }


def pace_of(speed: float) -> str:
    """How fast a film is, in words."""
    return "real time" if f"{speed:.2g}" == "1" else f"{speed:.2g} times real time"


def interval(steps: int, most: int) -> int:
    """Steps from picture to picture: ``most``, but fewer where the film would be too short."""
    return max(1, min(most, steps // FRAMES))


def _play(
    stack: PolicyStack, task: Task, episode: int, at: set[int], settings: Mapping
) -> tuple[Played, str, float | None]:
    """Play an episode; return it, how it was seen, and the seconds of a step if they are known."""
    env = views.make(task)
    size = settings["width"], round(SHAPE * settings["width"])
    opened: list = []  # when the first episode has begun, for a world may be built by then

    def look():
        if not opened:
            opened.extend(views.open_view(env, task, size, settings["view"]))
        return opened[1](), reading_of(env, task)

    try:
        played = play(stack, task, env, episode, settings["action_mode"], at, look)
        return played, opened[0], seconds_of_a_step(env)
    finally:
        opened.clear()
        env.close()


def seconds_of_a_step(env: views.Watched) -> float | None:
    """How long a step is in the simulator, where it says so."""
    core = env.unwrapped
    if hasattr(core, "task") and hasattr(core.task, "sim_conf"):
        return core.task.model.opt.timestep * core.task.sim_conf.frameskip_binom_n
    dt = getattr(core, "dt", None)
    return float(dt) if isinstance(dt, int | float) and dt > 0 else None


def _cost_steps(played: Played) -> list[int]:
    """The steps that cost, the first is 1."""
    return [int(step) + 1 for step in np.flatnonzero(played.costs > 0)]


def _compare(policy: Policy, sums: Mapping[str, float]) -> None:
    """Warn where the episode is not the one that was evaluated."""
    for name, value in sums.items():
        known = policy.recorded[name]
        if not np.isclose(value, known, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
            log.warning(
                "%s: its film has a %s of %.6g, the evaluation %.6g: another processor, or an "
                "environment whose episodes do not repeat",
                policy.name,
                name,
                value,
                known,
            )


def _end(task: Task, sides: list[Side]) -> str:
    """What the whole episodes gave, though a film may show less of them."""
    before, after = (side.played.sums for side in sides)
    parts = [
        f"{name} {four_digits(before[name])} → {four_digits(after[name])}"
        for name in ("return", "cost")
    ]
    parts = [part for part in parts if "nan" not in part]
    return f"{task.name}, whole episode: {', '.join(parts)}"


def page(title: str, told: Mapping, folder: Path) -> str:
    """The page of a film, which is within it; or of the reason why there is none."""
    if "reason" in told:
        return PAGE.substitute(
            title=html.escape(title), body=f"<p>{html.escape(told['reason'])}</p>"
        )
    inside = base64.b64encode((folder / "film.mp4").read_bytes()).decode()
    width, height = told["size"]
    alt = html.escape(f"{title}: {', '.join(told['policies'])}", quote=True)
    film = (
        f'<video controls autoplay loop muted playsinline width="{width}" height="{height}" '
        f'aria-label="{alt}" src="data:video/mp4;base64,{inside}"></video>'
    )
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{_number(own['return'])}</td>"
        f"<td>{_number(own['cost'])}</td>"
        f"<td>{own['length']:.0f}</td></tr>"
        for name, own in told["policies"].items()
    )
    head = "<tr><th>whole episode</th><th>return</th><th>cost</th><th>steps</th></tr>"
    note = html.escape(
        f"Run {told['run']}: {told['why']}, episode {told['episode']} (seed {told['seed']}). "
        f"Shown: {every_of(told['every'])} of the first {told['steps']} steps. Pictures "
        f"{told['view']}."
    )
    return PAGE.substitute(
        title=html.escape(title), body=f"{film}<table>{head}{rows}</table><p>{note}</p>"
    )


def _number(value: float) -> str:
    return "not told" if np.isnan(value) else four_digits(value)


def every_of(number: int) -> str:
    """Words for an interval: ``each``, ``every second``, ``every 4th``."""
    return {1: "each", 2: "every second", 3: "every third"}.get(number, f"every {number}th")
