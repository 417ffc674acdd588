"""A real Kubernetes control plane on this machine: built from source once, run as child processes.

etcd, API server, controller manager and scheduler listen on loopback, each on a port of its own,
and keep all they know in one folder; ``running.running_kubernetes`` runs one for a block of code.
There are no nodes in it before somebody registers some: ``midstage.local.kubelet`` does.
"""
