"""The kubelet's own HTTP API on loopback: faults on demand, behind the bearer token."""

import msgspec
from fastapi import APIRouter, Request, Response

from midstage.cluster.faults import Fault
from midstage.contracts.errors import RefusedError
from midstage.local.kubelet.faulting import Faulting

FAULTS = "/v1/faults"
_FAULT: msgspec.json.Decoder[Fault] = msgspec.json.Decoder(Fault)


def router(*, faulting: Faulting) -> APIRouter:
    """The routes."""
    made = APIRouter()

    @made.post(FAULTS, status_code=204)
    async def fault(request: Request) -> Response:
        await faulting.carry_out(_decoded(await request.body()))
        return Response(status_code=204)

    return made


def _decoded(body: bytes) -> Fault:
    try:
        return _FAULT.decode(body)
    except msgspec.ValidationError as e:
        raise RefusedError(f"body: {e}") from e
    except msgspec.DecodeError as e:
        raise RefusedError(f"the body is not JSON: {e}", status=400) from e
