"""What routes that carry out commands have in common: the ids of commands, and bodies as they came.

A command's id is the caller's ``Idempotency-Key``, quoted or not; sent again it has the first one's
outcome. What is done with it is the service's own.
"""

from typing import Annotated

from fastapi import Depends, Header, Path, Request

COMMAND_ID = r"[A-Za-z0-9._:-]{1,128}"

CommandId = Annotated[str, Path(pattern=f"^{COMMAND_ID}$")]
GivenId = Annotated[str | None, Header(alias="Idempotency-Key", pattern=f'^"?{COMMAND_ID}"?$')]


async def raw(request: Request) -> bytes:
    """The body as it came: msgspec reads it, so that errors have its paths."""
    return await request.body()


Raw = Annotated[bytes, Depends(raw)]
