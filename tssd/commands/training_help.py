"""What ``tssd train --help`` and ``tssd study --help`` list: data sets, models, methods, and every
option of a run with its default. Read only when somebody asks for it."""

import inspect
from dataclasses import fields
from enum import StrEnum
from typing import Any

import click


class TrainingCommand(click.Command):
    """A command whose help ends with the options of a training run."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        for title, rows in sections():
            with formatter.section(title):
                formatter.write_dl(rows)


def sections() -> list[tuple[str, list[tuple[str, str]]]]:
    """(title, rows of name and text)."""
    from tssd.train.config import PRESETS, Method
    from tssd.train.networks.model_names import MODEL_NAMES

    methods = " ".join(inspect.getdoc(Method).partition("\n\n")[2].split())  # type: ignore[union-attr]
    return [
        ("Data sets, and their presets", [(name, _preset(PRESETS[name])) for name in PRESETS]),
        ("Models", [("--model", ", ".join(MODEL_NAMES))]),
        ("Methods", [("--method", f"{', '.join(Method)}: {methods}")]),
        ("Options of a run, with their defaults", _defaults()),
    ]


def _preset(table: "dict[str, Any]") -> str:
    return ", ".join(f"{key}={_value(value)}" for key, value in table.items()) or "the defaults"


def _defaults() -> list[tuple[str, str]]:
    from tssd.train.config import TrainConfig

    return [(field.name, _told(field.default)) for field in fields(TrainConfig)]


def _told(default: object) -> str:
    """A default, and what else there is."""
    if isinstance(default, StrEnum):
        choices = [x for x in type(default) if x != "none"]  # a neuron without reset is no LIF
        return f"{default}  [{'|'.join(choices)}]"
    return _value(default)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if value != "" else '""'
