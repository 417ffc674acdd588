"""What Envoy writes of each request: one JSON object a line, read back by ``decide.line``.

Every operator that repeats a caller's text is cut to a length, so a line stays below 16 KiB.
"""

from midstage.gateway.views.shapes import Object, extension

METADATA = "midstage"
"""The namespace of the usage reader's dynamic metadata, and of a route's and a replica's."""

FIELDS: Object = {
    "id": "%REQ(X-REQUEST-ID):64%",
    "time": "%EMIT_TIME(%s.%6f)%",
    "started": "%START_TIME(%s.%6f)%",
    "app": "%ROUTE_NAME%",
    "prefix": "%METADATA(ROUTE:midstage:prefix)%",
    "path": "%PATH(NQ:ORIG_OR_PATH):1024%",
    "customer": "%REQ(X-MIDSTAGE-CUSTOMER):256%",
    "key": "%REQ(X-MIDSTAGE-KEY):256%",
    "ref": "%REQ(X-MIDSTAGE-REF):256%",
    "traceparent": "%REQ(TRACEPARENT):64%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "pod": "%UPSTREAM_HOST%",
    "replica": "%METADATA(UPSTREAM_HOST:midstage:pod)%",
    "revision": "%METADATA(UPSTREAM_HOST:midstage:revision)%",
    "cluster": "%METADATA(UPSTREAM_HOST:midstage:cluster)%",
    "duration": "%DURATION%",
    "duration_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
    "body_us": "%COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:us)%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "type": "%RESP(CONTENT-TYPE):64%",
    "usage_header": "%RESP(X-MIDSTAGE-USAGE):4096%",
    "usage_trailer": "%TRAILER(X-MIDSTAGE-USAGE):4096%",
    "usage": "%DYNAMIC_METADATA(midstage:usage)%",
    "events": "%DYNAMIC_METADATA(midstage:events)%",
    "first": "%DYNAMIC_METADATA(midstage:first)%",
    "unread": "%DYNAMIC_METADATA(midstage:unread)%",
}


def access_log(path: str) -> Object:
    """The request log at ``path``; a symbolic link there is followed when the file is opened."""
    return extension(
        "envoy.access_loggers.file",
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        path=path,
        log_format={"json_format": FIELDS},
    )
