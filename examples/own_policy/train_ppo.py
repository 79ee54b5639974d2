"""Train the policy that the example makes safe: Stable-Baselines3's PPO, for reward alone.

    python examples/own_policy/train_ppo.py BallCircle examples/own_policy/BallCircle.zip

writes the archive that SB3's `PPO.save` writes, and beside it what `VecNormalize.save` writes,
where the task needs its observations normalised. Nothing here has heard of costs.
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from prefine import simulators
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

SETTINGS = {
    "BallCircle": {"steps": 100_000, "n_steps": 512, "batch_size": 128, "gamma": 0.98},
    "BallRun": {"steps": 60_000, "n_steps": 512, "batch_size": 128, "gamma": 0.98},
    "HalfCheetahVelocity": {
        "steps": 300_000,
        "n_steps": 512,
        "batch_size": 128,
        "gamma": 0.98,
        "learning_rate": 6e-4,
        "policy_kwargs": {"log_std_init": -1.0},
    },
}
NORMALIZED = ("HalfCheetahVelocity",)


def main(task: str, archive: str) -> None:
    torch.set_num_threads(1)
    settings = dict(SETTINGS[task])
    steps = settings.pop("steps")
    envs = DummyVecEnv([lambda: simulators.make(task)] * 4)
    if task in NORMALIZED:
        envs = VecNormalize(envs)
    model = PPO("MlpPolicy", envs, seed=0, device="cpu", gae_lambda=0.92, **settings)
    model.learn(steps)
    model.save(archive, exclude=["rollout_buffer", "ep_info_buffer", "ep_success_buffer"])
    if task in NORMALIZED:
        envs.save(str(Path(archive).with_suffix(".pkl")))


if __name__ == "__main__":
    main(*sys.argv[1:])
