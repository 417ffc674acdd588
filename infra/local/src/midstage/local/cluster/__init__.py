"""The local cluster: a small apiserver, scheduler and kubelet in one process on loopback.

Its nodes are names with room, its pods real child processes on a leash. What a cluster does is the
pure ``midstage.cluster.state``; here is what touches the machine: processes, probes, files, HTTP.
"""
