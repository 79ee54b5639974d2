"""Where a result comes from: the versions of what can change a number."""

import importlib.metadata
import platform

PACKAGES = (
    "torch",
    "numpy",
    "gymnasium",
    "mujoco",
    "pybullet",
    "safety-gymnasium",
    "bullet-safety-gym",
    "dsrl",
    "stable-baselines3",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a number."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
