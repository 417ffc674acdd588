"""The names by which midstage's objects in Kubernetes are known: labels, annotations, managers.

Written by deploy, read by control, and by people with kubectl. Pure.
"""

APP = "midstage.dev/app"
REVISION = "midstage.dev/revision"
WORKLOAD = "midstage.dev/workload"
MANAGED_BY = "app.kubernetes.io/managed-by"
MIDSTAGE = "midstage"

VERSION = "midstage.dev/version"
SCALE_VERSION = "midstage.dev/scale-version"
TOLERATES = "midstage.dev/tolerates"
DRAINING = "midstage.dev/draining"
EMPTIED = "midstage.dev/emptied"
ADDRESS = "midstage.dev/address"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
ENDS_FIRST = "-2147483647"
"""The least cost: of the ready pods of a workload one that has it ends first."""

DEPLOY_MANAGER = "midstage-deploy"
SCALE_MANAGER = "midstage-scale"

GPU = "nvidia.com/gpu"
CONTAINER = "app"
PORT = 8080
PORT_NAME = "http"
PROCESS_IMAGE = "midstage/process:1"
"""The image of a workload that gives a command alone."""
