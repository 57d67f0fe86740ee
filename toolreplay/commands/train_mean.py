"""The command `train mean`."""

from pathlib import Path
from typing import Annotated

import typer


def mean(
    first: Annotated[Path, typer.Argument(help="An adapter's directory.")],
    second: Annotated[Path, typer.Argument(help="Another one's, trained on from the first.")],
    out: Annotated[Path, typer.Option(help="The directory to write.")],
    share: Annotated[float, typer.Option(min=0, max=1, help="Of the second, in the mean.")] = 0.5,
) -> None:
    """Average the weights of two adapters: a round of training, and what it began with.

    A round that gained something may have lost something else; between the two may lie an
    adapter that is better than either. Which share is best is found by solving instructions that
    no test uses.

    \b
    Examples:
      toolreplay train mean adapters/first adapters/second --out adapters/mean
      toolreplay train mean adapters/first adapters/second --share 0.3 --out adapters/mean
    """
    from trainer.mean import write_mean

    write_mean(first, second, share, out)
    typer.echo(f"{out}: {1 - share:.0%} of {first}, {share:.0%} of {second}")
