"""Rollouts of a policy of the user's own, from which its trajectories are labelled.

A policy that does one thing only leaves nothing to prefer. So an episode may be played with less
of the policy (a *gain* on its actions) or with noise on top; which is a function of its number.
"""

from collections.abc import Callable, Sequence

import numpy as np

from prefine.simulators import make as simulators
from prefine.streams import generator, stream_seed
from prefine.tasks import Task

ROWS = 8  # environments side by side; part of the numbers (rounding)


def variation(episode: int, gains: Sequence[float], noises: Sequence[float]) -> tuple:
    """Gain and noise of an episode: every pair in turn."""
    return gains[episode % len(gains)], noises[episode // len(gains) % len(noises)]


def play(
    task: Task,
    own: object,
    settings: dict,
    on_steps: Callable[[int], None] = lambda n: None,
) -> list[dict[str, np.ndarray]]:
    """Play the episodes and return each as arrays in DSRL's layout, actions in [-1, 1].

    Args:
        own: a stack of one policy.
        settings: ``episodes``, ``seed``, ``actions`` (``sampled`` or ``deterministic``), ``gains``
            and ``noises`` (config.yaml, ``rollouts``).
        on_steps: called with the number of steps made since.
    """
    envs = [simulators.make(task) for _ in range(ROWS)]
    played = []
    for first in range(0, settings["episodes"], ROWS):
        numbers = range(first, min(first + ROWS, settings["episodes"]))
        streams = [generator("rollout", task.name, settings["seed"], n) for n in numbers]
        gains, noises = np.array(
            [variation(n, settings["gains"], settings["noises"]) for n in numbers], np.float32
        ).T[:, :, None]
        obs = np.zeros((ROWS, task.obs_dim), np.float32)
        for row, number in enumerate(numbers):
            seed = stream_seed("rollout", task.name, settings["seed"], number, "start") % 2**31
            obs[row], _ = envs[row].reset(seed=seed)
        steps: list[list[tuple]] = [[] for _ in numbers]
        running = list(range(len(numbers)))
        while running:
            normals = np.zeros((ROWS, own.policy.sample_dim), np.float32)
            extra = np.zeros((len(numbers), task.act_dim), np.float32)
            for row in running:
                normals[row] = streams[row].standard_normal(own.policy.sample_dim, np.float32)
                extra[row] = streams[row].standard_normal(task.act_dim, np.float32)
            acted = own.act(obs, settings["actions"], normals)[0, : len(numbers)]
            actions = gains * acted + noises * extra
            actions = np.clip(actions, -1.0, 1.0).astype(np.float32)
            on_steps(len(running))
            for row in list(running):
                after, reward, terminal, timeout, info = envs[row].step(actions[row])
                after = np.asarray(after, np.float32)
                ended = terminal, timeout and not terminal
                step = (obs[row].copy(), after, actions[row], reward, info["cost"], *ended)
                steps[row].append(step)
                obs[row] = after
                if terminal or timeout:
                    running.remove(row)
        played += [_arrays(own) for own in steps]
    for env in envs:
        env.close()
    return played


def _arrays(steps: list[tuple]) -> dict[str, np.ndarray]:
    names = ("observations", "next_observations", "actions", "rewards", "costs")
    *columns, terminals, timeouts = zip(*steps, strict=True)
    arrays = {name: np.asarray(own, np.float32) for name, own in zip(names, columns, strict=True)}
    return arrays | {"terminals": np.array(terminals), "timeouts": np.array(timeouts)}
