"""Run one of the scripts beside this file: ``python scripts data/collect.py --task ...``.

So that a script finds the library wherever it is started: Snakemake empties PYTHONPATH for a job
in a conda environment.
"""

import gc
import os
import runpy
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent

if __name__ == "__main__":
    gc.disable()  # imports leave no garbage, and looking for it takes a sixth of their time
    sys.path[0] = str(SCRIPTS)
    from prefine import kernels

    os.environ.update(kernels.common())
    if len(sys.argv) < 2 or not (SCRIPTS / sys.argv[1]).is_file():
        sys.exit(f"ERROR: name one of the files in {SCRIPTS}, such as data/collect.py")
    sys.argv[:2] = [str(SCRIPTS / sys.argv[1])]
    runpy.run_path(sys.argv[0], run_name="__main__")
