"""Write small archives of the Stable-Baselines3 that is installed, with what their models do.

    python tests/policies/archives/make.py

It makes `{version}/`: an archive of PPO, with VecNormalize's statistics as a pickle and as JSON,
and one of SAC; `expected.json` has observations, actions of `model.predict`, and PPO's log density
of them.
"""

import json
from pathlib import Path

import gymnasium
import numpy as np
import stable_baselines3
import torch
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

LOW, HIGH = np.array([-2.0, 0.0], np.float32), np.array([2.0, 3.0], np.float32)


class Noise(gymnasium.Env):
    """Three numbers to see, two to choose."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gymnasium.spaces.Box(LOW, HIGH)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._observation(), {}

    def step(self, action):
        return self._observation(), -float(np.square(action).sum()), False, False, {}

    def _observation(self):
        return self.np_random.normal([1.0, -2.0, 0.5], [2.0, 0.5, 1.0]).astype(np.float32)


def main() -> None:
    folder = Path(__file__).parent / stable_baselines3.__version__
    folder.mkdir(exist_ok=True)
    seen = VecNormalize(DummyVecEnv([lambda: Noise()]), norm_reward=False, clip_obs=1.5)
    options = {"seed": 0, "device": "cpu"}
    options |= {"policy_kwargs": {"net_arch": [8]}}
    ppo = PPO("MlpPolicy", seen, n_steps=32, batch_size=16, **options)
    sac = SAC("MlpPolicy", Noise(), buffer_size=64, **options)
    ppo.learn(128)
    sac.learn(110)
    for name, model in {"PPO": ppo, "SAC": sac}.items():
        model.save(folder / f"{name}.zip")
    seen.save(folder / "vec_normalize.pkl")
    statistics = {"mean": seen.obs_rms.mean.tolist(), "var": seen.obs_rms.var.tolist()}
    statistics |= {"epsilon": seen.epsilon, "clip_obs": seen.clip_obs}
    (folder / "vec_normalize.json").write_text(json.dumps(statistics) + "\n")

    observations = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32) * 3
    normal = seen.normalize_obs(observations)
    acted = {"PPO": ppo.predict(normal, deterministic=True)[0]}
    acted["SAC"] = sac.predict(observations, deterministic=True)[0]
    with torch.no_grad():  # of the actions that were clipped to the box
        values = torch.as_tensor(normal), torch.as_tensor(acted["PPO"])
        density = ppo.policy.evaluate_actions(*values)[1]
    expected = {name: action.tolist() for name, action in acted.items()}
    expected |= {"observations": observations.tolist(), "log_density_PPO": density.tolist()}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
