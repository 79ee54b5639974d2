"""Tasks of one's own from packages that Python 3.11 or five values do not suit."""

import numpy as np
import pytest
from conftest import needs_simulators
from prefine.simulators import make as simulators
from prefine.simulators.own import own_task
from test_own_environment import play


@needs_simulators
@pytest.mark.parametrize(
    "env_id", ["SafetyRacecarGoal1Gymnasium-v0", "SafetyAntGoal1-v0", "SafetyDoggoGoal1-v0"]
)
def test_tasks_of_safety_gymnasium_that_dsrl_does_not_have(env_id, tmp_path):
    """With five values or its own six, from a module of one line."""
    module = tmp_path / f"{env_id.partition('-')[0].lower()}.py"
    module.write_text("import safety_gymnasium\n")
    settings = {"env_id": env_id, "module": str(module), "horizon": 3}
    task = own_task("Mine", settings, has_costs=True)
    actions = np.random.default_rng(0).uniform(-1, 1, (3, task.act_dim))
    env, played = simulators.make(task), []
    for seed in (5, 6, 5):  # the first episode of a world is as its later ones
        steps = [env.reset(seed=seed), *(env.step(action) for action in actions)]
        assert all(isinstance(step[-1]["cost"], float) for step in steps[1:]) and steps[-1][3]
        played.append(np.concatenate([step[0] for step in steps]))
    np.testing.assert_array_equal(played[0], played[2])
    assert (played[0] != played[1]).any()


SIX = """
import safety_gymnasium
from gymnasium import register
from safety_gymnasium.wrappers import SafeTimeLimit


def short(**options):
    return SafeTimeLimit(safety_gymnasium.make("SafetyHopperVelocity-v1").unwrapped, 4)


def rendered(**options):
    return safety_gymnasium.make("SafetySwimmerVelocity-v1", render_mode="rgb_array")


register("ShortHopper-v0", entry_point=short)
register("RenderedSwimmer-v0", entry_point=rendered)
"""


@needs_simulators
@pytest.mark.parametrize(("env_id", "horizon"), [("ShortHopper-v0", 4), ("RenderedSwimmer-v0", 3)])
def test_wrappers_of_safety_gymnasium_keep_their_six_values(env_id, horizon, tmp_path):
    """Its time limit is made from gymnasium's, but takes and gives six."""
    module = tmp_path / f"{env_id.partition('-')[0].lower()}.py"
    module.write_text(SIX)
    settings = {"env_id": env_id, "module": str(module), "horizon": horizon}
    env = simulators.make(own_task("Mine", settings, has_costs=True))
    env.reset(seed=0)
    for step in range(1, horizon + 1):
        *_, truncated, info = env.step(np.zeros(env.action_space.shape, np.float32))
        assert truncated == (step == horizon) and info["cost"] >= 0


DATACLASSES = """
import dataclasses
import gymnasium
import numpy as np
from gymnasium.spaces import Box


@dataclasses.dataclass
class Inner:
    size: float = 2.0


@dataclasses.dataclass
class Settings:
    inner: Inner = Inner()
    start: np.ndarray = dataclasses.field(default=np.zeros(2))
    goal: np.ndarray = np.ones(2)


class Configured(gymnasium.Env):
    observation_space, action_space = Box(-9, 9, (2,), np.float32), Box(-2, 2, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        self.settings = Settings()
        self.settings.goal += 1
        return self.settings.start + self.settings.inner.size, {}

    def step(self, action):
        return Settings().goal, 0.0, False, False, {"cost": 0.0}


gymnasium.register("Configured-v0", entry_point=Configured, max_episode_steps=5)
"""


def test_dataclasses_that_python_3_10_took_are_taken(tmp_path):
    (tmp_path / "configured.py").write_text(DATACLASSES)
    settings = {"env_id": "Configured-v0", "module": str(tmp_path / "configured.py")}
    task = own_task("Configured", settings, has_costs=True)
    (episode, _) = play(task)
    assert (episode["observations"][0] == 2).all()
    assert (episode["next_observations"] == 1).all()  # each has a copy of its own
