"""``onionpath completion``: the script with which a shell completes commands and options."""

from __future__ import annotations

import click

PROGRAM = "onionpath"
VARIABLE = "_ONIONPATH_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script with which SHELL completes onionpath's commands and options.

    bash: eval "$(onionpath completion bash)" in ~/.bashrc; zsh: the same in ~/.zshrc, after compinit; fish: onionpath
    completion fish > ~/.config/fish/completions/onionpath.fish
    """
    from click.shell_completion import get_completion_class

    from onionpath.cli_output import say

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  # click has all of the choices
    # Not ``source``, which would look for a bash of this machine to refuse an old one.
    program = kind(context.find_root().command, {}, PROGRAM, VARIABLE)
    say((program.source_template % program.source_vars()).strip())
