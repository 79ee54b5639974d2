"""Time the whole training loops (sampler and update) of BC and CPQ against OSRL's own.

Same sizes as OSRL's defaults for a velocity task: batch 512, hidden [256, 256], CPQ's VAE
400, ensembles of two. OSRL's BC is a deterministic network with a squared error; ours has a
learned spread too, which is a little more work. One run each, blocks in turn, median of
the ratios. OSRL is installed apart:

    make bench-osrl
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from paired import compare, report
from prefine.dataset import FullTransitions
from prefine.methods import method_constant, method_module, method_settings
from prefine.policies import make_policy
from prefine.tasks import TASKS
from prefine.training import HeldOut, PhaseLoop, build_context, device

TASK, BATCH, N = TASKS["HalfCheetahVelocity"], 512, 100_000
SETTINGS = {
    "iterations": 10**9,
    "batch_size": BATCH,
    "learning_rate": 3e-4,
    "gradient_clip": 10.0,
    "log_points": 1,
    "likelihood_draws": 1,
    "sampler": "transition",
    "hidden": [256, 256],
    "horizon": TASK.horizon,
    "cuda_graphs": True,
}


def arrays() -> dict[str, np.ndarray]:
    """Random transitions in DSRL's layout; the time does not depend on their values."""
    rng = np.random.default_rng(0)
    ends = np.zeros(N, dtype=bool)
    ends[999::1000] = True
    return {
        "observations": rng.normal(size=(N, TASK.obs_dim)).astype(np.float32),
        "next_observations": rng.normal(size=(N, TASK.obs_dim)).astype(np.float32),
        "actions": rng.uniform(-1, 1, (N, TASK.act_dim)).astype(np.float32),
        "rewards": rng.normal(size=N).astype(np.float32),
        "costs": rng.integers(0, 2, N).astype(np.float32),
        "terminals": np.zeros(N, dtype=bool),
        "timeouts": ends,
    }


class Ours:
    """One run of the project's own loop."""

    def __init__(self, name: str, values: dict[str, np.ndarray]):
        n = N // 1000
        data = FullTransitions(
            **values,
            starts=np.arange(n) * 1000,
            lengths=np.full(n, 1000),
            mean=np.zeros(TASK.obs_dim, np.float32),
            std=np.ones(TASK.obs_dim, np.float32),
        )
        kind = method_constant(name, "POLICY") or "gaussian"
        policy = make_policy(kind, TASK.obs_dim, TASK.act_dim, (256, 256))
        numbers = method_constant(name, "HYPERPARAMETERS")
        runs = pd.DataFrame([{"run": "r", "stream": "r", "tau": 40, **numbers}])
        settings = method_settings(name) | SETTINGS
        if name == "cpq":
            settings["variant"] = "osrl"  # the same computation
        method, on = method_module(name), device()
        context = build_context(method, policy, runs, settings, None, on)
        (phase,) = method.phases(policy, settings)
        sets = {role: [np.arange(n)] for role in phase.batches}
        held_out = HeldOut(policy, ["r"], data, None, on)
        self.loop = PhaseLoop(method, phase, context, runs, data, sets, settings, held_out, on)
        self.loop.logged, self.iteration = set(), 0
        if phase.prepare:
            phase.prepare(context, self.loop.samplers)

    def steps(self, n: int) -> None:
        for _ in range(n):
            self.loop.iterate(self.iteration)
            self.iteration += 1


class Osrl:
    """One run of OSRL's trainer, fed by OSRL's data loader, logging nothing."""

    def __init__(self, name: str, values: dict[str, np.ndarray]):
        from osrl.algorithms import BC, CPQ, BCTrainer, CPQTrainer
        from osrl.common import TransitionDataset
        from torch.utils.data import DataLoader

        class Silent:
            def store(self, *args, **kwargs):
                pass

        sizes = {"state_dim": TASK.obs_dim, "action_dim": TASK.act_dim, "max_action": 1.0}
        hidden, where = [256, 256], str(device())
        if name == "bc":
            model = BC(**sizes, a_hidden_sizes=hidden, episode_len=TASK.horizon, device=where)
            self.trainer = BCTrainer(model.to(where), None, Silent(), device=where)
        else:
            model = CPQ(
                **sizes,
                a_hidden_sizes=hidden,
                c_hidden_sizes=hidden,
                vae_hidden_sizes=400,
                num_q=2,
                num_qc=2,
                cost_limit=40,
                episode_len=TASK.horizon,
                device=where,
            )
            self.trainer = CPQTrainer(model.to(where), None, Silent(), device=where)
        self.name, self.where = name, where
        self.batches = iter(DataLoader(TransitionDataset(dict(values)), batch_size=BATCH))

    def steps(self, n: int) -> None:
        for _ in range(n):
            batch = [values.to(self.where) for values in next(self.batches)]
            if self.name == "bc":
                self.trainer.train_one_step(batch[0], batch[2])
            else:
                self.trainer.train_one_step(*batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path("results/bench/osrl.json"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    values, rows = arrays(), []
    for name in tqdm(("bc", "cpq")):
        ours, theirs = Ours(name, values), Osrl(name, values)
        figures = compare(ours, theirs, args.pairs, args.steps)
        rows.append({"method": name, "threads": args.threads, "device": str(device())} | figures)
    report(rows, args.output)


if __name__ == "__main__":
    main()
