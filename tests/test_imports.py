"""What an import brings with it, seen in fresh interpreters."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "transformers", "numpy", "matplotlib", "pydantic", "cyclopts", "rich"}
OPTIONAL = {"datasets", "peft", "math_verify", "openai", "tensorboard", "trackio", "wandb", "accelerate", "trl"} | {
    "diffusers",
    "gymnasium",
    "gym_pusht",
    "minari",
    "mujoco",
}


def loaded(program: str) -> set[str]:
    """Top-level packages in memory after a program ran."""
    ends = "\nimport sys; print('\\nLOADED', *sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program + ends], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_the_package_alone_loads_nothing_heavy() -> None:
    assert not loaded("import pilothouse; pilothouse.__version__") & (HEAVY | OPTIONAL)


@pytest.mark.parametrize("command", ["--help", "train --help", "tasks --help", "--version"])
def test_help_loads_no_torch(command: str) -> None:
    found = loaded(f"from pilothouse.cli import main; main({command.split()!r})")
    assert not found & ({"torch", "transformers", "matplotlib", "numpy"} | OPTIONAL)


def test_every_public_name_exists() -> None:
    program = "import pilothouse; [getattr(pilothouse, name) for name in pilothouse.__all__]"
    assert not loaded(program) & OPTIONAL


def test_every_module_imports_without_an_optional_package() -> None:
    blocked = f"import sys; sys.modules.update(dict.fromkeys({sorted(OPTIONAL)!r}))\n"
    walk = (
        "import importlib, pkgutil, pilothouse\n"
        "for found in pkgutil.walk_packages(pilothouse.__path__, 'pilothouse.'):\n"
        "    if not found.name.endswith('__main__'): importlib.import_module(found.name)"
    )
    assert "torch" in loaded(blocked + walk)


#: The parts of ``decisions`` that work on plain arrays.
PLAIN = [
    "adaptive_compute",
    "arrays",
    "audit",
    "calibration",
    "contrasts",
    "density",
    "effect_slope",
    "effects",
    "engine_catalogue",
    "engine_selector",
    "gate",
    "importance",
    "measures",
    "router",
    "selection",
    "sweep",
    "tables",
]


def test_decisions_without_scikit_learn_say_what_to_install() -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['sklearn', 'scipy', 'pandas', 'pyarrow']))\n"
        "import importlib, pathlib\n"
        f"for name in {PLAIN!r}: importlib.import_module('pilothouse.decisions.' + name)\n"
        "from pilothouse.core.errors import PilothouseError\n"
        "from pilothouse.decisions.tables import read_table\n"
        "for act in (lambda: importlib.import_module('pilothouse.decisions.estimators'),\n"
        "            lambda: read_table(pathlib.Path('t.csv'))):\n"
        "    try: act()\n"
        "    except PilothouseError as error: assert \"pip install 'pilothouse[decisions]'\" in str(error)\n"
        "    else: raise AssertionError"
    )
    assert "numpy" in loaded(program)
