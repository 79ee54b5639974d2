"""The DAG: job counts, targets, what reruns when what changes (dry runs, no jobs)."""

import json
import re
import shutil

import pytest
from conftest import ROOT, counts, snakemake
from prefine.pipeline import code
from prefine.pipeline.code import code_hash, imported_modules

FRONTS = ("BallRun", "BallCircle", "CarRun", "HalfCheetahVelocity", "SwimmerVelocity")
PAPER_JOBS = {
    "collect": 12,
    "trajectories": 12,
    "split": 12,
    "dataset_statistics": 1,
    "likeness": 1,
    "plane": 1,
    "pretrain": 12,
    "split_sizes": 2,  # Figure 5
    "plan": 275,
    "train": 227,
    "train_and_follow": 15,  # PREFINE on 12 tasks, DPO on 2, the sweep
    "evaluate_reference": 12,
    "evaluate": 275,
    "evaluate_curve": 15,
    "validate_reference": 5,
    "validate": 150,  # of every point of a front
    "validation_table": 1,
    "pareto": 1,
    **dict.fromkeys([f"pareto_{task}" for task in FRONTS], 1),
    "film": 12,
    "cost_gap": 2,
    "runs": 1,
    "study_table": 7,
    "curves_table": 3,
    "table1": 1,
    "claims": 1,
    **dict.fromkeys([f"fig{n}" for n in (1, 2, 5, 6, 9, 10, 11, 12)], 1),
    **dict.fromkeys(["control", "level", "likelihood"], 1),
    "provenance": 1,
    "page": 1,
    "timing": 1,
    "fig3": 1,
    "fig4": 1,
    "fig7": 1,
    "fig8": 1,
    "ceiling": 1,
    "overlap": 12,
    "fig13": 1,
    "paper_comparison": 1,
    "all": 1,
}


@pytest.mark.parametrize(
    "form",
    [
        ["--cores", "8"],
        ["all", "--cores", "8", "--resources", "gpu=1"],
        ["--cores", "8", "--resources", "gpu=1", "--", "all"],
        ["--workflow-profile", "profiles/slurm"],
    ],
    ids=" ".join,
)
def test_the_paper_s_protocol_in_every_documented_form(project, form):
    jobs = counts(snakemake("-n", *form, cwd=project))
    assert jobs.pop("total") == sum(PAPER_JOBS.values())
    assert jobs == PAPER_JOBS


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            "fig1",
            {
                "collect": 1,
                "pretrain": 1,
                "train_and_follow": 1,
                "cost_gap": 1,
                "evaluate": 1,
                "evaluate_reference": 1,
            },
        ),
        (
            "fig3",
            {"collect": 12, "train": 118, "train_and_follow": 14, "evaluate": 132, "table1": 1},
        ),
        ("fig4", {"train": 118, "train_and_follow": 14, "runs": 1, "table1": 1}),
        ("fig7", {"train": 118, "train_and_follow": 14, "runs": 1, "fig7": 1}),
        ("fig8", {"train": 118, "train_and_follow": 14, "runs": 1, "fig8": 1}),
        ("ceiling", {"train": 118, "train_and_follow": 14, "runs": 1, "ceiling": 1}),
        ("films", {"pretrain": 12, "train_and_follow": 12, "evaluate": 12, "film": 12}),
        ("fig13", {"collect": 12, "split": 12, "overlap": 12, "fig13": 1}),
        ("paper_comparison", {"train": 118, "train_and_follow": 14, "table1": 1}),
        ("table1", {"collect": 12, "train": 118, "train_and_follow": 14, "runs": 1}),
        ("claims", {"collect": 12, "train": 205, "train_and_follow": 15, "runs": 1}),
        ("pareto", {"collect": 5, "train": 120, "evaluate": 150, "validate": 150, "pareto": 1}),
        ("likeness", {"collect": 12, "pretrain": 12, "evaluate_reference": 12, "likeness": 1}),
        ("plane", {"collect": 12, "split": 12, "dataset_statistics": 1, "plane": 1}),
        ("table2", {"collect": 12, "split": 12, "dataset_statistics": 1}),
        ("table3", {"collect": 12, "split": 12, "dataset_statistics": 1}),
    ],
)
def test_a_figure_or_table_asks_for_just_its_runs(project, target, expected):
    jobs = counts(snakemake(target, "-n", "--cores", "8", cwd=project))
    assert {name: jobs[name] for name in expected} == expected
    if target in ("table2", "table3", "fig13", "likeness", "plane"):
        assert "train" not in jobs


def test_bc_does_not_wait_for_the_reference_policy(project):
    def jobs(method):
        target = f"results/paper/policies/main/BallRun/{method}.safetensors"
        return counts(snakemake(target, "-n", "--cores", "1", cwd=project))

    for method in ("bc", "safedice", "cpq"):
        assert "pretrain" not in jobs(method)
    assert jobs("prefine")["pretrain"] == jobs("bc_from_reference")["pretrain"] == 1


def test_a_config_error_stops_before_any_job(project, tmp_path):
    overlay = tmp_path / "wrong.yaml"
    overlay.write_text("run: wrong\ntrainning: {iterations: 5}\n")
    text = snakemake("--cores", "1", "--configfile", overlay, cwd=project, check=False)
    assert "unknown key 'trainning'; did you mean 'training'?" in text
    assert "Traceback" not in text
    assert not (project / "results").exists()


@pytest.mark.parametrize("limits", [["gpu=3"], ["mem_mb=9000"], []], ids=str)
def test_the_gpu_limit_is_one_unless_given(project, limits, tmp_path):
    probe = tmp_path / "Snakefile"
    probe.write_text((project / "Snakefile").read_text() + PROBE)
    shutil.copy(probe, project / "Probe.smk")
    options = ["--resources", *limits] if limits else []
    text = snakemake("-n", "-s", "Probe.smk", "--cores", "1", *options, cwd=project)
    expected = 3 if limits == ["gpu=3"] else 1
    assert f"GPU LIMIT {expected}" in text


PROBE = """
limit = workflow.global_resources["gpu"]
print("GPU LIMIT", getattr(limit, "value", limit), file=sys.stderr)
"""


def test_code_hash_follows_imports_and_only_them():
    def names(script):
        return {path.name for path in imported_modules(ROOT / "scripts" / script)}

    assert {"style.py", "names.py"} <= names("figures/fig03_reward_cost.py")
    train = names("training/train.py")
    assert {"loop.py", "networks.py", "gaussian.py", "dataset.py"} <= train
    assert not {"style.py", "tables.py", "rollout.py", "make.py"} & train
    prefine = imported_modules(ROOT / "scripts/prefine/methods/prefine.py")
    assert "losses.py" in {path.name for path in prefine}


def hashed(folder, **texts):
    """The hash of a file `main` in a folder with other files."""
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    code._read.cache_clear()
    code.imported_modules.cache_clear()
    return code_hash(*(folder / f"{name}.py" for name in texts))


FUNCTION = '"""Doc."""\n\n\ndef f(x):\n    """Doc."""\n    return x + 1\n'


def test_code_hash_ignores_comments_and_docstrings_but_no_code(tmp_path):
    base = hashed(tmp_path, a=FUNCTION)
    other = '"""Other."""\n# why\ndef f(x):\n    """Doc 2."""\n    return (x + 1)\n'
    assert base == hashed(tmp_path, a=other)
    assert base != hashed(tmp_path, a=FUNCTION.replace("+ 1", "+ 2"))


def test_code_hash_sees_the_templates_beside_a_module(tmp_path):
    base = hashed(tmp_path, a=FUNCTION)
    (tmp_path / "ab.html").write_text("another module's")
    assert base == hashed(tmp_path, a=FUNCTION)
    (tmp_path / "a.card.html").write_text("$title")
    one = hashed(tmp_path, a=FUNCTION)
    (tmp_path / "a.card.html").write_text("<b>$title</b>")
    assert len({base, one, hashed(tmp_path, a=FUNCTION)}) == 3


def test_code_hash_outlives_a_move(tmp_path):
    """Neither where a function stands nor how it is imported says what it does."""
    base = hashed(tmp_path, a=FUNCTION + "\n\ndef g(x):\n    import os\n\n    return f(x)\n")
    moved = "from prefine.errors import UserError\n\n\ndef g(x):\n    return f(x)\n"
    assert base != hashed(tmp_path, b=moved)
    moved = moved.replace("prefine.errors import UserError", "math import pi")
    assert base == hashed(tmp_path, b=moved, c=FUNCTION)
    assert base != hashed(tmp_path, b=moved.replace("f(x)", "f(x) + 1"), c=FUNCTION)


def test_a_file_is_parsed_once_for_all_processes(tmp_path, monkeypatch):
    base, kept = hashed(tmp_path, a=FUNCTION), tmp_path / "kept.json"

    def of_next_process(**texts):
        parses = code.Parses(kept)
        monkeypatch.setattr(code, "_parses", parses)
        own = hashed(tmp_path, **(texts or {"a": FUNCTION}))
        parses.save()
        return own, parses.new

    assert of_next_process() == (base, True)
    assert of_next_process() == (base, False)
    changed, new = of_next_process(a=FUNCTION.replace("+ 1", "+ 2"))
    assert changed != base and new
    assert of_next_process() == (base, False)
    whole = kept.read_text()
    other_version = json.dumps(json.loads(whole) | {"made_by": "another"})
    for damaged in (whole[:-9], "", "[]", '{"made_by": 1}', other_version, "[" * 100_000):
        kept.write_text(damaged)
        assert of_next_process() == (base, True)
    kept.unlink()
    kept.mkdir()  # nothing can be kept: it is parsed again
    assert of_next_process() == of_next_process() == (base, True)


def test_code_hash_follows_the_folders_of_a_module():
    files = imported_modules(ROOT / "scripts/prefine/methods/bc.py")
    assert ROOT / "scripts/prefine/methods/__init__.py" in files
    assert ROOT / "scripts/prefine/__init__.py" in files


def test_a_rule_that_uses_a_local_one_is_local_too():
    """Snakemake's `use rule` hands on all but this: it would go through a cluster."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    found = re.findall(r"(?ms)^(?:use )?rule (\w+)(?: as (\w+) with)?:\n(.*?)(?=^\S|\Z)", text)
    local = {again or name: "localrule: True" in body for name, again, body in found}
    used = {again: name for name, again, _ in found if again}
    assert used and not [again for again, name in used.items() if local[again] != local[name]]
