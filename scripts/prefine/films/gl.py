"""Which OpenGL MuJoCo can draw with where there is no screen; found by trying."""

import functools
import importlib
import os
import subprocess
import sys

BACKENDS = ("egl", "osmesa")
PATIENCE = 60.0  # s
# In a process of its own: what is wrong with a driver may end the process.
TRY = """
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 16, 16)
renderer.update_scene(data)
renderer.render()
print("drawn", flush=True)
"""


@functools.cache
def find() -> str | None:
    """The first backend that draws, the user's ``MUJOCO_GL`` before all; None if none does."""
    own = os.environ.get("MUJOCO_GL", "").strip().lower()
    return next(filter(draws, (own,) if own in BACKENDS else BACKENDS), None)


def draws(backend: str) -> bool:
    """Whether MuJoCo draws a picture with a backend."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", TRY],
            env=os.environ | {"MUJOCO_GL": backend},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return False
    return b"drawn" in done.stdout


def use(backend: str) -> None:
    """Draw with a backend in this process, also where MuJoCo was imported before."""
    os.environ["MUJOCO_GL"] = backend  # Gymnasium looks there
    from mujoco import gl_context

    gl_context.GLContext = importlib.import_module(f"mujoco.{backend}").GLContext
