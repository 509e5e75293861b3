"""`usnav models`: which trained weights are there."""

import typer
from rich.table import Table

from us_nav_agent.cli.screen import console
from us_nav_agent.errors import UsNavAgentError


def models() -> None:
    """List the models: name, size, SHA-256 and the first words of the model card. Exit status 1 where one is corrupt.

    Models are looked for in models/ of the checkout, or in $USNAV_MODELS_DIR.
    """
    from us_nav_agent.policy import list_models, load_policy, models_folder

    table = Table("model", "MB", "SHA-256", "card")
    corrupt = False
    for file in list_models():
        try:
            state = load_policy(file).sha256[:12]
        except UsNavAgentError as error:
            state, corrupt = f"[red]{error}[/]", True
        card = file.with_suffix(".md")
        words = (
            next((line for line in card.read_text().splitlines() if line.startswith("# ")), "") if card.exists() else ""
        )
        table.add_row(file.stem, f"{file.stat().st_size / 1e6:.1f}", state, words.removeprefix("# ") or "no card")
    if not table.row_count:
        console.print(f"no model in {models_folder()}; `usnav train msdqn_lite` makes one")
    else:
        console.print(table)
    if corrupt:
        raise typer.Exit(1)
