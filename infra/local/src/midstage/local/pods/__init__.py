"""Pods as processes of this machine: what the local cluster and the process kubelet both stand on.

Nothing here knows where a pod was asked for, or whom its state is told.
"""
