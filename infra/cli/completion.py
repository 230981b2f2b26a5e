"""The command `completion`: prints a shell's completion script."""

import argparse

SHELLS = ("bash", "zsh", "fish")

_INSTRUCTIONS = (
    'bash: eval "$(dropvec completion bash)" in ~/.bashrc; '
    "zsh: dropvec completion zsh > a file _dropvec in a folder of $fpath; "
    "fish: dropvec completion fish > ~/.config/fish/completions/dropvec.fish"
)


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `completion`."""
    command = commands.add_parser(
        "completion",
        help="print a completion script for your shell",
        description=f"Print a script with which a shell completes `dropvec`. {_INSTRUCTIONS}.",
    )
    command.add_argument("shell", choices=SHELLS, help=f"the shell: {', '.join(SHELLS)}")
    command.set_defaults(run=_completion, packages="completion")


def _completion(parsed: argparse.Namespace) -> None:
    import shtab  # noqa: PLC0415 - see cli.main

    from infra.cli.parser import make_parser  # noqa: PLC0415 - the parser imports this module

    parser = make_parser("dropvec")
    for command in _parsers(parser):
        for action in command._actions:  # noqa: SLF001 - argparse has no public list of them
            if action.metavar == "DIR":
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined] # the attribute that shtab reads
            elif str(action.metavar).startswith("FILE") or action.metavar in {"A", "B", "EVENT.json"}:
                action.complete = shtab.FILE  # type: ignore[attr-defined] # likewise
    print(shtab.complete(parser, parsed.shell))


def _parsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """A parser's commands."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
    return [command for group in groups for command in group.choices.values()]
