"""Writes what an API server writes in protobuf, from the same values as its JSON."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from midstage.cluster.kubernetes import messages
from midstage.cluster.kubernetes.protobuf import maker

FRAMES = {"content-type": "application/vnd.kubernetes.protobuf;stream=watch"}

_EVENT = maker(messages.WatchEvent)
_UNKNOWN = maker(messages.Unknown)
_STATUS = maker(messages.Status)
_POD = maker(messages.Pod)
_PAIR = maker(messages.Pair)
_PORT = maker(messages.Port)
_RESOURCES = maker(messages.Resources)
_TOLERATION = maker(messages.Toleration)
_NO_WORDS: Mapping[str, bytes] = {}
Told = Mapping[str, object]


def event(kind: str, body: bytes, *, magic: bytes = b"k8s\0") -> bytes:
    """What one frame of a watch holds."""
    raw = body if body.startswith(magic) else magic + _UNKNOWN(raw=body).SerializeToString()
    return _EVENT(type=kind.encode(), object={"raw": raw}).SerializeToString()


def status(
    code: int,
    message: str,
    *,
    reason: str = "",
    causes: Sequence[str] = (),
    retry_after_s: int = 0,
) -> bytes:
    """The body of an error, in its envelope."""
    details = {
        "causes": [{"reason": each.encode()} for each in causes],
        "retry_after_seconds": retry_after_s,
    }
    told = _STATUS(code=code, message=message.encode(), reason=reason.encode(), details=details)
    return b"k8s\0" + _UNKNOWN(raw=told.SerializeToString()).SerializeToString()


def pod_in_protobuf(told: Told, *, words: Mapping[str, bytes] = _NO_WORDS) -> bytes:
    """The pod; what ``words`` names is written as those bytes."""
    return _Writer(words).pod(told).SerializeToString()


class _Writer:
    """Fields that are no pointers in Go are written where they are empty too."""

    def __init__(self, words: Mapping[str, bytes]) -> None:
        self._words = words

    def pod(self, told: Told) -> messages.Pod:
        meta, spec, status = (_of(told.get(each)) for each in ("metadata", "spec", "status"))
        return _POD(
            metadata={
                **self._texts(meta, "name", "namespace", "uid", resource_version="resourceVersion"),
                "creation_timestamp": _time(meta.get("creationTimestamp")),
                **_if_there("deletion_timestamp", meta.get("deletionTimestamp"), _time),
                "labels": [
                    _PAIR(**each).SerializeToString() for each in self._pairs(meta.get("labels"))
                ],
                "annotations": self._pairs(meta.get("annotations")),
            },
            spec={
                **self._texts(
                    spec,
                    node_name="nodeName",
                    priority_class_name="priorityClassName",
                    preemption_policy="preemptionPolicy",
                ),
                **_if_there("priority", spec.get("priority"), lambda each: each),
                "containers": [self._container(each) for each in _all(spec.get("containers"))],
                "init_containers": [
                    self._container(each) for each in _all(spec.get("initContainers"))
                ],
                "overhead": self._amounts(spec.get("overhead")),
                "node_selector": self._pairs(spec.get("nodeSelector")),
                "tolerations": [
                    _TOLERATION(
                        **self._texts(each, "key", "operator", "value", "effect")
                    ).SerializeToString()
                    for each in _all(spec.get("tolerations"))
                ],
            },
            status={
                **self._texts(status, "phase", "reason", "message", pod_ip="podIP"),
                "conditions": [
                    {
                        **self._texts(each, "type", "status", "reason", "message"),
                        "last_transition_time": _time(each.get("lastTransitionTime")),
                    }
                    for each in _all(status.get("conditions"))
                ],
                "container_statuses": [
                    self._status(each) for each in _all(status.get("containerStatuses"))
                ],
                "init_container_statuses": [
                    self._status(each) for each in _all(status.get("initContainerStatuses"))
                ],
            },
        )

    def _container(self, told: Told) -> Mapping[str, object]:
        resources = _of(told.get("resources"))
        return {
            **self._texts(told, "name"),
            "ports": [
                _PORT(
                    **self._texts(each, "name"), container_port=each.get("containerPort", 0)
                ).SerializeToString()
                for each in _all(told.get("ports"))
            ],
            "resources": _RESOURCES(
                limits=self._amounts(resources.get("limits")),
                requests=self._amounts(resources.get("requests")),
            ).SerializeToString(),
            **({"restart_policy": b"Always"} if told.get("restartPolicy") else {}),
        }

    def _status(self, told: Told) -> Mapping[str, object]:
        return {
            **self._texts(told, "name"),
            "ready": told.get("ready", False),
            "restart_count": told.get("restartCount", 0),
            **_if_there("started", told.get("started"), bool),
            "state": self._state(_of(told.get("state"))),
            "last_state": self._state(_of(told.get("lastState"))),
        }

    def _state(self, told: Told) -> Mapping[str, object]:
        if "running" in told:
            return {"running": {"started_at": _time(_of(told["running"]).get("startedAt"))}}
        if "waiting" in told:
            return {"waiting": self._texts(_of(told["waiting"]), "reason", "message")}
        if "terminated" not in told:
            return {}
        ended = _of(told["terminated"])
        return {
            "terminated": {
                **self._texts(ended, "reason", "message"),
                "exit_code": ended.get("exitCode", 0),
                "started_at": _time(ended.get("startedAt")),
                "finished_at": _time(ended.get("finishedAt")),
            }
        }

    def _texts(self, told: Told, *same: str, **named: str) -> Mapping[str, bytes]:
        names = {**{each: each for each in same}, **named}
        return {ours: self._text(told.get(theirs, "")) for ours, theirs in names.items()}

    def _pairs(self, told: object) -> list[Mapping[str, bytes]]:
        return [
            {"key": self._text(key), "value": self._text(value)} for key, value in _of(told).items()
        ]

    def _amounts(self, told: object) -> list[Mapping[str, object]]:
        return [
            {"key": self._text(key), "value": {"string": self._text(value)}}
            for key, value in _of(told).items()
        ]

    def _text(self, told: object) -> bytes:
        assert isinstance(told, str)
        return self._words.get(told, told.encode())


def _of(told: object) -> Told:
    return told if isinstance(told, dict) else {}


def _all(told: object) -> list[Told]:
    return [_of(each) for each in told] if isinstance(told, list) else []


def _time(told: object) -> Mapping[str, int]:
    if not isinstance(told, str):
        return {}
    return {"seconds": round(datetime.fromisoformat(told).timestamp()), "nanos": 0}


def _if_there(name: str, told: object, write: object) -> Mapping[str, object]:
    """What is a pointer in Go."""
    assert callable(write)
    return {} if told is None else {name: write(told)}
