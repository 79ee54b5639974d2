"""Time the whole training loops (sampler and update) of BC and CPQ against OSRL's own.

One run each, same network, batch and loss, at OSRL's defaults for a velocity task: batch
512, hidden [256, 256]; BC is a deterministic network with a squared error, CPQ has a VAE of
400, ensembles of two and OSRL's loss (``variant: osrl``). OSRL is installed apart:

    make bench-osrl
"""

import argparse

import torch
from loops import TASK, DeterministicPolicy, Loop, arrays
from paired import Subject, compare, report
from tqdm import tqdm

BATCH = 512


class Osrl:
    """One run of OSRL's trainer, fed by OSRL's data loader, logging nothing."""

    def __init__(self, name: str, threads: int):
        from osrl.algorithms import BC, CPQ, BCTrainer, CPQTrainer
        from osrl.common import TransitionDataset
        from torch.utils.data import DataLoader

        class Silent:
            def store(self, *args, **kwargs):
                pass

        torch.set_num_threads(threads)
        self.name, self.where = name, "cuda" if torch.cuda.is_available() else "cpu"
        common = {
            "state_dim": TASK.obs_dim,
            "action_dim": TASK.act_dim,
            "max_action": 1.0,
            "a_hidden_sizes": [256, 256],
            "episode_len": TASK.horizon,
            "device": self.where,
        }
        if name == "bc":
            model, trainer = BC(**common), BCTrainer
        else:
            own = {"c_hidden_sizes": [256, 256], "vae_hidden_sizes": 400, "num_q": 2, "num_qc": 2}
            model, trainer = CPQ(**common, **own, cost_limit=40), CPQTrainer
        self.trainer = trainer(model.to(self.where), None, Silent(), device=self.where)
        self.batches = iter(DataLoader(TransitionDataset(arrays()), batch_size=BATCH))

    def steps(self, n: int) -> None:
        """Do ``n`` iterations."""
        for _ in range(n):
            batch = [values.to(self.where) for values in next(self.batches)]
            if self.name == "bc":
                self.trainer.train_one_step(batch[0], batch[2])
            else:
                self.trainer.train_one_step(*batch)
        if torch.cuda.is_available():
            torch.cuda.synchronize()


OURS = {
    "bc": {"gradient_clip": None, "sampler": "transition"},
    "cpq": {"variant": "osrl"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    rows = []
    for name, changes in tqdm(OURS.items(), desc="against OSRL", unit="method"):
        own = (name, DeterministicPolicy.name, 1, args.threads)
        with (
            Subject(Loop, *own, batch_size=BATCH, **changes) as ours,
            Subject(Osrl, name, args.threads) as theirs,
        ):
            figures = compare(ours, theirs, args.pairs, args.steps)
        rows.append({"method": name, "threads": args.threads} | figures)
    report("osrl", rows)


if __name__ == "__main__":
    main()
