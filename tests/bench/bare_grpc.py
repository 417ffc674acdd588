"""The peer of ``checking``: ``grpc.aio`` that parses each question and gives a constant answer.

``python -m tests.bench.bare_grpc PORT``
"""

import asyncio
import sys

import grpc
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
)

from midstage.local.ports import LOOPBACK
from midstage.throttle.adapters.envoy import METHOD, SERVICE

_OK: bytes = rls_pb2.RateLimitResponse(
    overall_code=rls_pb2.RateLimitResponse.OK
).SerializeToString()


async def _answer(request: bytes, _context: object) -> bytes:
    rls_pb2.RateLimitRequest.FromString(request)
    return _OK


async def main(port: int) -> None:
    """Serve until killed."""
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(_answer)
    calls = grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler})
    server.add_generic_rpc_handlers((calls,))
    server.add_insecure_port(f"{LOOPBACK}:{port}")
    await server.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
