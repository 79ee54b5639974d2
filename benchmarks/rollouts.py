"""Environment steps a second: an evaluation job, the simulator alone, and OSRL's way to evaluate.

For each task, in turn within one run: one job's rollouts with as many workers as cores (whole,
with the start of its processes, and from its first answer on); the stock simulator and ours
stepped with given actions on one core; and one policy in one stock environment, an observation at
a time.

A job has the paper's 15 policies of a task and method, and its 100 episodes of each.

    python benchmarks/rollouts.py  # half an hour; --tasks BallCircle --rounds 1: two minutes
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from paired import report
from prefine.evaluation import rollout
from prefine.policies.registry import make_policy
from prefine.policies.stack import PolicyStack
from prefine.simulators import make as simulators
from prefine.tasks import TASKS
from prefine.training.loop import initial_parameters

CHOSEN = ("BallCircle", "HalfCheetahVelocity", "PointGoal1", "CarGoal1")
POLICIES, EPISODES = 15, 100
WORKERS, SECONDS = 2, 5.0


def policies(task):
    """Stacked policies as they are before training, of the paper's size."""
    policy = make_policy("cvae", task.obs_dim, task.act_dim, (256, 256))
    params = initial_parameters(
        policy.init, [f"benchmark/{k}" for k in range(POLICIES)], torch.device("cpu")
    )
    constants = np.zeros(task.obs_dim, np.float32), np.ones(task.obs_dim, np.float32)
    return PolicyStack(policy, params, *constants)


def job(task) -> tuple[float, float]:
    """Steps a second of a whole evaluation job, and from the first answer of a simulator on."""
    answers, started = [], time.perf_counter()

    def mark(_: int) -> None:
        if not answers:
            answers.append(time.perf_counter())

    table = rollout.evaluate(policies(task), task, EPISODES, "deterministic", mark, workers=WORKERS)
    ended, steps = time.perf_counter(), table["length"].sum()
    return steps / (ended - started), steps / (ended - answers[0])


def stepped(task, act, stock: bool = True) -> float:
    """Steps a second of whole episodes in one environment on one core."""
    env, n = simulators.make(task.name, stock=stock), 0
    env.reset(seed=0)  # the first one may make the world
    started = time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        (obs, _), ended = env.reset(seed=n), False
        while not ended:
            obs, _, terminated, truncated, _ = env.step(act(obs))
            n, ended = n + 1, terminated or truncated
    seconds = time.perf_counter() - started
    env.close()
    return n / seconds


def raw(task, stock: bool) -> float:
    """The simulator alone, with actions that cost nothing."""
    actions = iter(np.random.default_rng(0).uniform(-1, 1, (10**6, task.act_dim)))
    return stepped(task, lambda obs: next(actions), stock)


def one_by_one(task) -> float:
    """As OSRL evaluates: one policy, one environment, one observation a forward pass."""
    policy, params, mean, std = policies(task)
    one = {name: value[:1] for name, value in params.items()}
    noise = torch.zeros(1, 1, policy.sample_dim)

    @torch.no_grad()
    def act(obs):
        state = torch.as_tensor(obs[None, None], dtype=torch.float32)
        return policy.act(one, (state - mean) / std, "deterministic", noise)[0, 0].numpy()

    return stepped(task, act)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=CHOSEN, metavar="TASK")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is taken")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for task in map(TASKS.get, args.tasks):
        rounds = np.array(
            [
                [*job(task), raw(task, True), raw(task, False), one_by_one(task)]
                for _ in range(args.rounds)
            ]
        )
        whole, steady, alone, ours, single = rounds.T
        rows.append(
            {
                "task": task.name,
                "job steps/s": np.median(whole),
                "simulator steps/s": np.median(alone),
                "one by one steps/s": np.median(single),
                "job / (simulator x cores)": np.median(whole / alone / WORKERS),
                "without its start": np.median(steady / alone / WORKERS),
                "job / one by one": np.median(whole / single),
                "our simulator / stock": np.median(ours / alone),
            }
        )
    report("evaluation", rows)


if __name__ == "__main__":
    main()
