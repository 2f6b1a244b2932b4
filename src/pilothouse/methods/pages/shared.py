"""``docs/settings.md``: the settings that methods share, with their defaults and meanings."""

from __future__ import annotations

from pydantic import BaseModel

from pilothouse.control.synthetic import SyntheticSettings
from pilothouse.control.trajectory_diffusion import TrajectoryDiffusion
from pilothouse.methods.pages.markdown import made, prose
from pilothouse.methods.pages.settings import Setting, all_settings
from pilothouse.policies.heads import HeadSettings
from pilothouse.programs.base import Sampling
from pilothouse.reports.tables import markdown_table
from pilothouse.training.action_recipe import ActionTraining
from pilothouse.training.config import PolicySettings
from pilothouse.training.offline_recipe import OfflineTraining
from pilothouse.training.recipe import CriticSettings, TrainingSettings

_TOP = """\
# Settings

What every method of a kind can be told. A setting is an option of the same name, `--training.steps 300`, and a key of
the same table in a TOML file (`--config my.toml`); the command line wins over the file, the file over the method. What
a method is made of, and which of these it sets otherwise, is at the end of [its own page](methods/README.md);
`pilothouse methods NAME` prints all of both."""

_GROUPS: list[tuple[str, list[tuple[str, type[BaseModel]]]]] = [
    (
        "Language policies",
        [
            ("training", TrainingSettings),
            ("policy", PolicySettings),
            ("program.sampling", Sampling),
            ("critic", CriticSettings),
            ("value_head", HeadSettings),
        ],
    ),
    ("Policies that act, from demonstrations", [("training", ActionTraining)]),
    (
        "Policies that act, from logged transitions",
        [("training", OfflineTraining), ("diffusion", TrajectoryDiffusion), ("synthetic", SyntheticSettings)],
    ),
]


def settings_page() -> str:
    """Return the page."""
    parts = [_TOP]
    for title, groups in _GROUPS:
        parts.append(f"## {title}")
        parts += [settings_table(list(all_settings(kind, name))) for name, kind in groups]
    return made("\n\n".join(parts))


def settings_table(settings: list[Setting]) -> str:
    """Return settings as a Markdown table."""
    rows = [[f"`{one.name}`", f"`{one.value}`", prose(one.meaning.replace("``", ""))] for one in settings]
    return markdown_table(["setting", "default", "what it is"], rows, padded=False)
