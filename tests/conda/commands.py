"""The conda commands that Snakemake calls, on py-rattler's solver and installer.

No conda can be had from PyPI or Debian. Environments are solved and installed here by the same
library that pixi is made of, from the channel that channel.py builds; their `pip:` sections are
installed by the pip of the new environment, as conda does it.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import rattler
import yaml

HERE = Path(__file__).resolve().parent
PLATFORM = "linux-64"


def create(file: Path, prefix: Path) -> None:
    """Create an environment from its YAML file; conda-forge is the test's channel."""
    wanted = yaml.safe_load(file.read_text())
    names = [name for name in wanted["channels"] if name != "nodefaults"]
    channels = [
        os.environ["CONDA_TEST_CHANNEL"] if name == "conda-forge" else name for name in names
    ]
    specs = [entry for entry in wanted["dependencies"] if isinstance(entry, str)]
    asyncio.run(install(channels, specs, prefix))
    pip = [
        line for part in wanted["dependencies"] if isinstance(part, dict) for line in part["pip"]
    ]
    if pip:
        with tempfile.NamedTemporaryFile("w", suffix=".requirements.txt") as listed:
            listed.write("\n".join(pip))
            listed.flush()
            command = [prefix / "bin/python", "-m", "pip", "install", "-U", "-r", listed.name]
            subprocess.run([*command, "--exists-action=b"], check=True)


async def install(channels: list[str], specs: list[str], prefix: Path) -> None:
    """Solve and install what stands outside of the pip section."""
    cache = Path(os.environ["CONDA_TEST_CACHE"])
    records = await rattler.solve(
        channels,
        specs,
        gateway=rattler.Gateway(cache_dir=cache),
        platforms=[PLATFORM, "noarch"],
        virtual_packages=rattler.VirtualPackage.detect(),
    )
    await rattler.install(records, target_prefix=prefix, cache_dir=cache, show_progress=False)


def option(arguments: list[str], name: str) -> Path:
    return Path(arguments[arguments.index(name) + 1])


def main(arguments: list[str]) -> None:
    match arguments:
        case ["--version"]:
            print("conda 24.11.0")  # the oldest one whose answers these are
        case ["info", "--json"]:
            print(json.dumps({"conda_prefix": str(HERE), "platform": PLATFORM}))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create", *rest]:
            create(option(rest, "--file"), option(rest, "--prefix"))
        case ["clean", *_]:
            pass  # of packages that were unpacked, no archives are kept
        case _:
            sys.exit(f"tests/conda knows no conda {' '.join(arguments)}")


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # py-rattler's threads can crash a Python that takes itself down
