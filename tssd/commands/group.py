"""The commands of ``tssd`` by name, and groups that name the nearest command to a wrong word.

The list, its summaries and the completion of a name are made without loading any command.
"""

import difflib
import importlib

import click
from click.shell_completion import CompletionItem

# name -> (where it is, loaded only when called; what it does)
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": (
        "tssd.commands.demo:command",
        "Run the whole chain on handwritten digits, in a minute.",
    ),
    "doctor": (
        "tssd.commands.doctor:command",
        "Say what is installed, what can run here, what is missing.",
    ),
    "train": (
        "tssd.commands.train:train",
        "Train a spiking network with temporal-spatial self-distillation.",
    ),
    "study": (
        "tssd.commands.study:study",
        "Train every method with every seed and compare them in pairs.",
    ),
    "calibrate": (
        "tssd.commands.calibrate:command",
        "Train a run on with few bits, or find the fewest of each layer.",
    ),
    "prune": (
        "tssd.commands.prune:command",
        "Take channels out of a run: fewer synapses, fewer cores.",
    ),
    "export": (
        "tssd.commands.export:command",
        "Make a bundle of a trained network: fold, quantize, place.",
    ),
    "import": (
        "tssd.commands.import_:command",
        "Make a bundle of a NIR graph or of a lava-dl netx file.",
    ),
    "convert": (
        "tssd.commands.convert:command",
        "Write a network as one file that other tools read.",
    ),
    "verify": (
        "tssd.commands.verify:command",
        "Compare engines with the integer definition, spike for spike.",
    ),
    "simulate": (
        "tssd.commands.simulate:command",
        "Find the time and energy of a bundle on a simulated chip.",
    ),
    "early-exit": (
        "tssd.commands.early_exit:command",
        "Stop samples that are sure: what that saves and costs.",
    ),
    "sweep": (
        "tssd.commands.sweep:command",
        "Simulate a bundle for every combination of settings.",
    ),
    "report": (
        "tssd.commands.report:command",
        "Write the report of a bundle as HTML, JSON and Markdown.",
    ),
    "compare": (
        "tssd.commands.compare:command",
        "Set bundles, chips, sweeps, studies and reports side by side.",
    ),
    "inspect": (
        "tssd.commands.inspect_:command",
        "Show layers, parameters, bits and resets of a network file.",
    ),
    "diff": (
        "tssd.commands.diff:command",
        "Compare two networks or two spike records layer by layer.",
    ),
    "check": (
        "tssd.commands.check:command",
        "Say whether a network fits a chip, and what is in the way.",
    ),
    "fit": (
        "tssd.commands.fit:command",
        "Make a chip file from measured runs, with its error on others.",
    ),
    "targets": (
        "tssd.commands.targets:command",
        "List chips and engines, show a chip's numbers, check a file.",
    ),
    "lava": ("tssd.commands.lava:command", "Build or inspect the environment that runs Lava."),
}


class NamingGroup(click.Group):
    """``No such command 'verfy'. Did you mean 'verify'?``"""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in names:
            near = difflib.get_close_matches(args[0], names, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Commands: {', '.join(names)}."
            ctx.fail(f"No such command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)


class LazyGroup(NamingGroup):
    """A group that imports a command's module when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = [
            CompletionItem(name, help=summary)
            for name, (_, summary) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]
