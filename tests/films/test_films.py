"""Films: the evaluated episode again, its costs where they were, no GL where none is needed."""

import json
import subprocess
import sys

import av
import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT
from PIL import Image
from prefine.errors import UserError
from prefine.evaluation.rollout import evaluate
from prefine.films import choose, gl, panels, scenes, views
from prefine.films.drawn import Disc, Line, Polygon, Scene, paint
from prefine.films.encode import HOLD, RATE
from prefine.films.film import Policy, film, interval, page
from prefine.films.play import Played, looked_at, play
from prefine.policies.registry import make_policy
from prefine.policies.stack import PolicyStack
from prefine.tasks import OWN, TASKS, Task
from prefine.training.loop import initial_parameters

SETTINGS = {"steps": 40, "every": 5, "width": 200, "view": "drawn", "action_mode": "sampled"}


def some_policy(task, name="p0") -> PolicyStack:
    policy = make_policy("gaussian", task.obs_dim, task.act_dim, (16,))
    params = initial_parameters(policy.init, [name], torch.device("cpu"))
    mean, std = np.zeros(task.obs_dim, np.float32), np.ones(task.obs_dim, np.float32)
    return PolicyStack(policy, params, mean, std)


def episodes_of(run, costs, returns=None, tau=20):
    returns = returns or [0.0] * len(costs)
    rows = [
        {"run": run, "tau": tau, "episode": n, "return": r, "cost": c, "length": 10}
        for n, (c, r) in enumerate(zip(costs, returns, strict=True))
    ]
    return pd.DataFrame(rows)


# Which run, which episode.


def test_the_run_and_the_episode_are_medians():
    before = episodes_of("reference", [10, 10, 10])
    after = pd.concat(
        [
            episodes_of("best", [0, 0, 0]),
            episodes_of("middling", [1, 9, 4]),  # differ by -9, -1, -6
            episodes_of("worst", [9, 9, 9]),
            episodes_of("another threshold", [5, 5, 5], tau=40),
        ]
    )
    choice = choose.of_study(before, after, 20)
    assert (choice.run, choice.episode) == ("middling", 2)
    assert choice.before["cost"] == 10 and choice.after == {"return": 0, "cost": 4, "length": 10}
    assert "of 3 runs at the threshold 20" in choice.why and "of 3 evaluated" in choice.why


def test_without_costs_the_return_decides():
    nan = float("nan")
    before = episodes_of("reference", [nan] * 3, [0.0, 0.0, 0.0])
    after = episodes_of("only", [nan] * 3, [3.0, 1.0, 2.0])
    choice = choose.of_study(before, after, None)
    assert choice.episode == 2 and "median return" in choice.why


def test_equal_costs_are_told_apart_by_return_then_number():
    before, after = episodes_of("a", [0] * 4), episodes_of("b", [0] * 4, [5.0, 5.0, 1.0, 9.0])
    assert choose.median_episode(before, after, "cost") == 0


def test_no_run_of_the_threshold_is_said():
    with pytest.raises(UserError, match="no run has the threshold 30"):
        choose.of_study(episodes_of("a", [0]), episodes_of("b", [0]), 30)


# The episode.


@pytest.mark.parametrize("name", ["BallCircle", "SwimmerVelocity", "PointGoal1"])
def test_the_episode_is_the_evaluated_one_to_the_last_bit(name):
    task = TASKS[name]
    stack = some_policy(task)
    row = evaluate(stack, task, 4, "sampled").iloc[3]
    env = views.make(task)
    played = play(stack, task, env, 3, "sampled", {0, 30, 50}, lambda: (np.zeros(1), None))
    env.close()
    assert played.sums == {name: row[name] for name in ("return", "cost", "length")}
    assert played.steps == [0, 30, 50]


def test_an_episode_that_ends_early_is_seen_at_its_end():
    task = TASKS["HopperVelocity"]  # which falls
    env = views.make(task)
    seen = []
    at = looked_at(100, 1000)
    played = play(some_policy(task), task, env, 0, "sampled", at, lambda: (seen, None))
    assert played.terminated and 0 < len(played.rewards) < 1000
    assert played.steps[-1] == len(played.rewards)


def test_what_is_looked_at():
    assert looked_at(4, 10) == {0, 4, 8, 10}
    assert [interval(steps, 4) for steps in (60, 200, 399, 1000)] == [1, 2, 3, 4]


# Frames.


def side(costs, steps, name="π_ref", terminated=False):
    n = len(costs)
    pictures = [np.full((60, 80, 3), 200, np.uint8) for _ in steps]
    played = Played(np.ones(n), np.array(costs, float), terminated, list(steps), pictures)
    played.readings = [None] * len(steps)
    return panels.Side(name, "#000000", played)


def test_a_frame_is_marked_if_it_cost_since_the_one_before():
    costs = np.zeros(12)
    costs[[3, 8]] = 1  # the fourth and the ninth step
    assert panels.costly([0, 4, 8, 12], costs) == [False, True, False, True]


def test_costs_redden_the_frames_and_the_strip_where_they_are():
    costs = [0, 0, 0, 1, 0, 0, 0, 0]
    steps = [0, 2, 4, 6, 8]
    sides = side(costs, steps), side([0] * 8, steps, "PREFINE")
    made = panels.Film(sides, panels.film_steps(2, 8, sides), "step {step}", "end")
    assert made.steps == steps and len(made) == 5
    red = np.array([int(panels.COST[n : n + 2], 16) for n in (1, 3, 5)])

    def rim(frame, place):
        left = made.gap + place * (made.width + made.gap)
        return (frame[made.picture + 30, left] == red).all()

    assert [rim(frame, 0) for frame in made] == [False, False, True, False, False]
    assert not any(rim(frame, 1) for frame in made)
    band = made.frame(4)[made.strip + made.strip_height - 2, made.gap : made.gap + made.width]
    where = np.flatnonzero((np.abs(band.astype(int) - red) < 60).all(1)) / made.width
    assert where.min() == pytest.approx(3 / 8, abs=0.03)
    assert where.max() == pytest.approx(4 / 8, abs=0.03)


def test_a_policy_whose_episode_has_ended_waits_for_the_other():
    short = side([0] * 3, [0, 2, 3], terminated=True)
    long = side([0] * 8, [0, 2, 4, 6, 8], "PREFINE")
    made = panels.Film((short, long), panels.film_steps(2, 10, (short, long)), "{step}", "end")
    assert made.steps == [0, 2, 4, 6, 8]
    assert all(frame.shape == made.frame(0).shape for frame in made)


# Drawn views.


def test_shapes_are_where_they_belong():
    scene = Scene((0.0, 0.0), 10.0)
    scene.shapes = [
        Disc((2.0, 1.0), 0.6, (255, 0, 0)),
        Polygon([(-4, -4), (-2, -4), (-2, -2), (-4, -2)], (0, 0, 255)),
        Line([(-1, 4), (1, 4)], 0.5, (0, 255, 0)),
    ]
    picture = paint(scene, (100, 100))
    assert picture.shape == (100, 100, 3)
    assert tuple(picture[40, 70]) == (255, 0, 0)  # y goes upwards
    assert tuple(picture[80, 20]) == (0, 0, 255)
    assert tuple(picture[10, 50]) == (0, 255, 0)


@pytest.mark.parametrize(
    "name", ["CarCircle", "BallRun", "PointGoal1", "AntVelocity", "Walker2dVelocity"]
)
def test_a_drawn_view_shows_where_the_robot_is(name):
    task = TASKS[name]
    env = views.make(task)
    env.reset(seed=10_000)
    called, picture = views.open_view(env, task, (120, 90), "drawn")
    first = picture()
    for _ in range(20):
        env.step(env.action_space.high)
    assert called.startswith("drawn") and first.shape == (90, 120, 3) and first.std() > 1
    assert (first != picture()).any()
    env.close()


def test_hazards_goal_and_robot_are_drawn_where_the_simulator_has_them():
    env = views.make(TASKS["PointGoal1"])
    env.reset(seed=10_000)
    scene, world = scenes.scene_of(env, TASKS["PointGoal1"])(), env.unwrapped.task
    discs = {
        (shape.color, shape.centre): shape for shape in scene.shapes if isinstance(shape, Disc)
    }
    hazards = [tuple(place[:2]) for place in world.hazards.pos]
    assert len(hazards) == 8
    for place in hazards:
        assert discs[scenes.MARKS["hazard"], place].radius == pytest.approx(world.hazards.size)
    assert (scenes.MARKS["goal"], tuple(world.goal.pos[:2])) in discs
    assert any(color == scenes.AGENT for color, _ in discs)
    env.close()


def test_a_drawn_film_needs_no_gl(tmp_path):
    """In a process in which no OpenGL can be imported."""
    code = """
import sys
for name in ("OpenGL", "mujoco.egl", "mujoco.osmesa"):
    sys.modules[name] = None
from prefine.films import gl, views
from prefine.tasks import TASKS
gl.draws = lambda backend: False
for name in ("HalfCheetahVelocity", "PointGoal1", "BallCircle"):
    env = views.make(TASKS[name])
    env.reset(seed=0)
    wanted = "drawn" if name == "BallCircle" else "auto"
    print(views.open_view(env, TASKS[name], (80, 60), wanted)[0])
    views.open_view(env, TASKS[name], (80, 60), wanted)[1]()
"""
    env = {"PYTHONPATH": str(ROOT / "scripts"), "MUJOCO_GL": "disable", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout.count("drawn from the simulator's state") == 3, done.stderr


# What draws.


def test_bullet_draws_itself_and_the_limits_cost_nothing(monkeypatch):
    task = TASKS["CarRun"]
    stack, env = some_policy(task), views.make(task)
    opened = []

    def look():
        if not opened:
            opened.extend(views.open_view(env, task, (80, 60)))
        return opened[1](), None

    played = play(stack, task, env, 1, "sampled", {0, 10, 20}, look)
    assert opened[0] == "by Bullet's software renderer"
    assert played.pictures[0].shape == (60, 80, 3) and played.pictures[0].std() > 10
    row = evaluate(stack, task, 2, "sampled").iloc[1]  # pictures do not change the episode
    assert played.sums == {name: row[name] for name in ("return", "cost", "length")}


@pytest.mark.skipif(gl.find() is None, reason="neither EGL nor OSMesa here")
def test_mujoco_draws_where_there_is_gl():
    task = TASKS["HalfCheetahVelocity"]
    env = views.make(task)
    env.reset(seed=0)
    called, picture = views.open_view(env, task, (80, 60))
    assert called == f"by MuJoCo ({gl.find().upper()})"
    assert picture().shape == (60, 80, 3) and picture().std() > 5


def test_points_are_projected_as_bullet_does():
    import pybullet

    camera = pybullet.computeViewMatrixFromYawPitchRoll((1, 2, 0), 10, 0, -60, 0, 2)
    lens = pybullet.computeProjectionMatrixFOV(fov=50, aspect=2, nearVal=0.1, farVal=100)
    middle, right = views.projected(np.array([[1, 2, 0], [2, 2, 0]]), camera, lens, (200, 100))
    assert middle == pytest.approx([100, 50], abs=1e-3)
    assert right[0] > 100 and right[1] == pytest.approx(50, abs=1e-3)


# Environments of one's own.


class Dot(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-9, 9, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    picture = np.full((20, 10, 3), 7, np.uint8)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0.0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.place += float(action[0])
        return (
            np.array([self.place], np.float32),
            1.0,
            False,
            False,
            {"cost": float(self.place > 0)},
        )

    def render(self):
        assert self.render_mode == "rgb_array"
        return self.picture


class Blind(Dot):
    metadata = {"render_modes": ["ansi"]}  # noqa: RUF012


class Broken(Dot):
    def render(self):
        raise RuntimeError("no screen\nhere")


class Odd(Dot):
    picture = np.zeros((20, 10), np.float64)


def own_task(kind) -> Task:
    env_id = f"{kind.__name__}-v0"
    gymnasium.registry.pop(env_id, None)
    gymnasium.register(env_id, entry_point=kind)
    numbers = dict.fromkeys(("max_cost", "min_return", "max_return"), float("nan"))
    sizes = {"horizon": 12, "obs_dim": 1, "act_dim": 1, "n_trajectories": 0}
    return Task(kind.__name__, "x", OWN, env_id, **sizes, **numbers)


def filmed(tmp_path, task, settings=SETTINGS, episode=0):
    stacks = some_policy(task, "a"), some_policy(task, "b")
    recorded = [
        evaluate(own, task, episode + 1, settings["action_mode"]).iloc[episode] for own in stacks
    ]
    numbers = [{name: row[name] for name in choose.NUMBERS} for row in recorded]
    choice = choose.Choice("run", episode, "the rule", *numbers)
    policies = tuple(
        Policy(stack, name, "#000000", own)
        for stack, name, own in zip(stacks, ("π_ref", "PREFINE"), numbers, strict=True)
    )
    return film(tmp_path, task, policies, choice, settings), numbers


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Blind, "render_modes: ansi"),
        (Broken, "render: no screen here"),
        (Odd, r"render gives float64 of shape \(20, 10\)"),
    ],
)
def test_what_draws_no_pictures_is_refused_in_one_line(tmp_path, kind, why):
    # Its process plays it too, so it is refused before that.
    task, stack = own_task(kind), some_policy(own_task(kind))
    none = Policy(stack, "a", "#000000", {"return": 0, "cost": 0, "length": 12})
    choice = choose.Choice("run", 0, "the rule", none.recorded, none.recorded)
    with pytest.raises(views.NoPicture, match=why) as error:
        film(tmp_path, task, (none, none), choice, SETTINGS)
    assert "\n" not in str(error.value) and kind.__name__ in str(error.value)
    assert not list(tmp_path.glob("film.*"))


def test_an_environment_that_draws_itself_keeps_its_shape():
    task = own_task(Dot)
    env = views.make(task)
    env.reset(seed=0)
    called, picture = views.open_view(env, task, (40, 30), "drawn")
    assert called == "by the environment itself"
    columns = (picture() == 7).all((0, 2))
    assert columns.sum() == 15 and columns[12:27].all()  # twice as high as wide, in the middle
    assert gymnasium.registry["Dot-v0"].kwargs.get("render_mode") is None  # as before


# Files.


def test_a_film_has_its_length_its_costs_and_repeats(tmp_path, caplog):
    told, numbers = filmed(tmp_path, TASKS["BallCircle"], episode=1)
    assert not caplog.records  # it is what was evaluated
    assert told["policies"]["PREFINE"]["return"] == numbers[1]["return"]
    assert len(told["policies"]["π_ref"]["cost_steps"]) == numbers[0]["cost"]
    assert told["frames"] == 41 and told["steps"] == 40 and told["seed"] == 10_001
    with av.open(str(tmp_path / "film.mp4")) as file:
        stream = file.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.average_rate == RATE
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(frames) == 41 + HOLD * RATE == told["seconds"] * RATE
    assert list(frames[0].shape[1::-1]) == told["size"] and frames[0].std() > 10
    with Image.open(tmp_path / "film.webp") as small:
        assert small.is_animated and small.n_frames == 21
    again = tmp_path / "again"
    again.mkdir()
    assert filmed(again, TASKS["BallCircle"], episode=1)[0] == told
    for name in ("film.mp4", "film.webp"):
        assert (tmp_path / name).read_bytes() == (again / name).read_bytes()


def test_another_episode_than_the_evaluated_one_is_said(tmp_path, caplog):
    task = TASKS["BallRun"]
    numbers = {"return": 1e6, "cost": 0.0, "length": 100.0}
    choice = choose.Choice("run", 0, "the rule", numbers, numbers)
    policies = (Policy(some_policy(task), "π_ref", "#000000", numbers),) * 2
    film(tmp_path, task, policies, choice, SETTINGS | {"steps": 5})
    assert "a return of" in caplog.text and "do not repeat" in caplog.text


def test_the_page_plays_by_itself_or_says_why_not(tmp_path):
    told, _ = filmed(tmp_path, TASKS["BallRun"], SETTINGS | {"steps": 10})
    text = page("BallRun <before>", told, tmp_path)
    assert "data:video/mp4;base64," in text and "BallRun &lt;before&gt;" in text
    assert "http" not in text and "the rule" in text
    none = page("X", {"reason": "There is no film of X: <b>"}, tmp_path)
    assert "&lt;b&gt;" in none and "<video" not in none
    assert json.loads(json.dumps(told)) == told
