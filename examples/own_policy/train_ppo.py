"""Train the policies that the example makes safe: Stable-Baselines3's PPO, for reward alone.

    python examples/own_policy/train_ppo.py BallCircle examples/own_policy

writes BallCircle.zip, what `PPO.save` writes, and where the observations were normalised
BallCircle.json, the statistics of VecNormalize. Nothing here has heard of costs. Minutes each.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from prefine.simulators import make as simulators
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

COMMON = {"n_steps": 512, "batch_size": 128, "gamma": 0.98, "gae_lambda": 0.92}
STEPS = {"BallCircle": 100_000, "HalfCheetahVelocity": 300_000}
OWN = {
    "BallCircle": {},
    "HalfCheetahVelocity": {"learning_rate": 6e-4, "policy_kwargs": {"log_std_init": -1.0}},
}
NORMALIZED = ("HalfCheetahVelocity",)
# What loading sets up anew; pickles of functions name the folders of the machine they are from.
LEFT_OUT = ["lr_schedule", "clip_range", "rollout_buffer", "ep_info_buffer", "ep_success_buffer"]


def main(task: str, folder: str) -> None:
    torch.set_num_threads(1)
    envs = DummyVecEnv([lambda: simulators.make(task)] * 4)
    if task in NORMALIZED:
        envs = VecNormalize(envs)
    model = PPO("MlpPolicy", envs, seed=0, device="cpu", **COMMON, **OWN[task])
    model.learn(STEPS[task])
    model.save(Path(folder) / f"{task}.zip", exclude=LEFT_OUT)
    if task in NORMALIZED:
        numbers = {"mean": envs.obs_rms.mean.tolist(), "var": envs.obs_rms.var.tolist()}
        numbers |= {"epsilon": envs.epsilon, "clip_obs": envs.clip_obs}
        (Path(folder) / f"{task}.json").write_text(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=STEPS)
    parser.add_argument("folder", help="where the archive goes")
    main(**vars(parser.parse_args()))
