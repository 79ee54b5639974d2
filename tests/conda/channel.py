"""Build a small conda channel in a folder: python and pip in the versions that envs/ asks for.

`pip` is the wheel of that version from the package index. `python` is the interpreter that runs
this script, as an environment of its own without other packages; it is labelled with the version
that the files ask for, for conda-forge's builds cannot be had here.

    python channel.py FOLDER PYTHON_VERSION PIP_VERSION
"""

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

from rattler.index import index_fs

SHORT = sysconfig.get_python_version()  # 3.11


def package(folder: Path, name: str, version: str, files: dict, links: dict, **index) -> None:
    """Write one package: path -> content of its files, path -> target of its symbolic links."""
    index = {"name": name, "version": version, "build": "0", "build_number": 0} | index
    paths = [
        {"_path": path, "path_type": "hardlink", "size_in_bytes": len(content)}
        | {"sha256": hashlib.sha256(content).hexdigest()}
        for path, content in files.items()
    ]
    paths += [{"_path": path, "path_type": "softlink"} for path in links]
    about = {
        "info/index.json": index,
        "info/paths.json": {"paths": paths, "paths_version": 1},
        "info/about.json": {},
    }
    if "noarch" in index:
        about["info/link.json"] = {"noarch": {"type": "python"}, "package_metadata_version": 1}
    texts = {path: json.dumps(content).encode() for path, content in about.items()}
    (folder / index["subdir"]).mkdir(parents=True, exist_ok=True)
    target = folder / index["subdir"] / f"{name}-{version}-0.tar.bz2"
    with tarfile.open(target, "w:bz2", compresslevel=1) as archive:
        for path, content in (texts | files).items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for path, there in links.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, there
            archive.addfile(entry)


def python(folder: Path, version: str) -> None:
    """This interpreter, without the packages that were installed beside it."""
    interpreter = Path(sys.executable).resolve()
    settings = f"home = {interpreter.parent}\ninclude-system-site-packages = false\n"
    package(
        folder,
        "python",
        version,
        {"pyvenv.cfg": settings.encode(), f"lib/python{SHORT}/site-packages/README.txt": b"\n"},
        {"bin/python": str(interpreter), "bin/python3": "python", f"bin/python{SHORT}": "python"},
        subdir="linux-64",
        depends=[],
    )


def pip(folder: Path, version: str) -> None:
    """The wheel of pip, unpacked as conda-forge's package is."""
    wheels = folder / "wheels"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"pip=={version}"]
    subprocess.run([*command, "--dest", wheels], check=True)
    with zipfile.ZipFile(next(wheels.glob(f"pip-{version}-*.whl"))) as wheel:
        names = [name for name in wheel.namelist() if not name.endswith("/")]
        files = {f"site-packages/{name}": wheel.read(name) for name in names}
    package(folder, "pip", version, files, {}, subdir="noarch", depends=["python"], noarch="python")


if __name__ == "__main__":
    root = Path(sys.argv[1])
    python(root, sys.argv[2])
    pip(root, sys.argv[3])
    asyncio.run(index_fs(root))
    os._exit(0)  # py-rattler's threads can crash a Python that takes itself down
