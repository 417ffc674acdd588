"""The process kubelet: nodes of a real Kubernetes whose pods are processes of this machine."""
