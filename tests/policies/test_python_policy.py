"""A policy that is a Python function: what it may do, and how each mistake is answered."""

import numpy as np
import pytest
from own_policies import CENTRE, HALF, HIGH, LOW, OBS_DIM, N, read, refuses
from prefine.errors import UserError


def function(folder, body, name="mine.py"):
    """A Python file whose ``act`` has this body; it may use a module beside it."""
    (folder / "beside.py").write_text("import numpy as np\ngain = 0.5\n")
    (folder / name).write_text(f"from beside import gain, np\n\n\ndef act(obs):\n    {body}\n")
    return folder / name


def test_a_python_function(tmp_path):
    """Raw observations in, the environment's units out; clipped to its box."""
    own = read(function(tmp_path, "return gain * obs[:, :2]"), "python")
    obs = np.random.default_rng(0).normal(size=(N, OBS_DIM)).astype(np.float32) * 10
    centre, half = CENTRE.numpy(), HALF.numpy()
    np.testing.assert_allclose(
        centre + half * own.act(obs)[0], np.clip(0.5 * obs[:, :2], LOW, HIGH), atol=1e-5
    )
    assert not own.has_density and own.metadata["kind"] == "python"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return obs[:, :1]", f"shape (5, {OBS_DIM}) returns shape (5, 1); an action of 2"),
        ("return obs[0, :2]", "returns shape (2,)"),
        ("return obs[:, :2] / 0", "not finite"),
        ("return None", "returns a NoneType; an array of real numbers"),
        ("return obs[:, :2] * 1j", "returns an array of complex64"),
        ("return obs[:, :2].astype(str)", "returns an array of <U"),
        ("return np.ma.masked_less(obs[:, :2], 2)", "returns a masked array"),
        ("return [[1.0], [1.0, 2.0]]", "returns a list; an array of real numbers"),
        ("raise SystemExit(0)", "raised SystemExit: 0 (mine.py, line 5)"),
        (
            "raise type('E', (Exception,), {'__str__': lambda self: 1 / 0})",
            "raised E: E (mine.py, line 5)",
        ),
        ("return missing(obs)", "NameError: name 'missing' is not defined (mine.py, line 5)"),
        ("obs[:] = 7\n    raise ValueError('a\\nb')", "raised ValueError: a b (mine.py, line 6)"),
    ],
)
def test_a_python_function_that_does_not_act(body, says, tmp_path):
    own, obs = read(function(tmp_path, body), "python"), np.ones((5, OBS_DIM), np.float32)
    with np.errstate(all="ignore"), pytest.raises(UserError) as raised:
        own.act(obs)
    assert says in str(raised.value) and "\n" not in str(raised.value), raised.value
    assert (obs == 1).all()


def test_a_python_file_that_holds_no_policy(tmp_path):
    path = function(tmp_path, "return obs")
    refuses("leave out policy.vec_normalize", path, "python", vec_normalize="a.json")
    path.write_text("import no_such_module\n")
    refuses("cannot be imported: raised ModuleNotFoundError", path, "python")
    path.write_text("raise SystemExit(0)\n")
    refuses("cannot be imported: raised SystemExit", path, "python")
    path.write_text("act = 3\n")
    refuses("has no function act(observations)", path, "python")
    refuses("its name must end in .py", path.rename(tmp_path / "mine.txt"), "python")
