"""Content into a file or onto stdout, as it is; a file appears whole or not at all."""

import os
import tempfile
from pathlib import Path

import typer

from midstage.contracts.errors import UnavailableError


def put(content: bytes, file: Path | None) -> None:
    """Write it; UnavailableError says why the file can't be written."""
    if file is None:
        typer.echo(content, nl=False)
        return
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        with os.fdopen(handle, "wb") as out:
            out.write(content)
        Path(name).replace(file)
    except OSError as error:
        raise UnavailableError(f"{file} can't be written: {error.strerror}") from error
