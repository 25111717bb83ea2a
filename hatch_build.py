"""Compiles the engine's core while the project is installed, for those who ask for it.

    HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 pip install .

pyproject.toml names the files. They are installed beside what mypyc makes of them, which
Python prefers; without the variable nothing is compiled, and no compiler is needed.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CoreBuildHook(BuildHookInterface[Any]):
    """Adds the extension modules to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            raise ValueError(
                "An editable install runs the files as they are: leave out --editable."
            )
        folder = Path(tempfile.mkdtemp(prefix="compiled-core-"))
        # The wheel is written after this returns; whoever installs it is a process of its own.
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        self._compile(folder)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for built in (folder / "lib").rglob("*.so"):
            build_data["force_include"][str(built)] = str(built.relative_to(folder / "lib"))

    def _compile(self, folder: Path) -> None:
        # Only here, since who does not compile has neither.
        from mypyc.build import mypycify
        from setuptools import Distribution  # type: ignore[import-untyped]
        from setuptools.command.build_ext import build_ext  # type: ignore[import-untyped]

        os.chdir(self.root)
        extensions = mypycify(self.config["files"], opt_level="3", target_dir=str(folder / "c"))
        command = build_ext(Distribution({"name": "core", "ext_modules": extensions}))
        command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "temporary")
        command.parallel = True
        command.ensure_finalized()
        command.run()
