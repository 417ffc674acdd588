"""The file that Envoy starts with: who it is, its admin address, and which files to watch."""

from midstage.gateway.model.apps import Setup
from midstage.gateway.views.shapes import Object, address, watched

LISTENERS = "lds.json"
ROUTES = "rds.json"
CLUSTERS = "cds.json"
BOOTSTRAP = "bootstrap.json"


def endpoints(app: str) -> str:
    """The file with one application's replicas; Envoy reads one resource from such a file."""
    return f"eds-{app}.json"


def bootstrap(setup: Setup) -> Object:
    """Everything else comes from the watched files."""
    return {
        "node": {"id": setup.edge, "cluster": "midstage"},
        "admin": {"address": address(setup.admin)},
        "dynamic_resources": {
            "lds_config": watched(f"{setup.config_dir}/{LISTENERS}"),
            "cds_config": watched(f"{setup.config_dir}/{CLUSTERS}"),
        },
    }
