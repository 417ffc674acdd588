"""Kubernetes' HorizontalPodAutoscaler v2, exactly: its integers, its roundings, its cautions.

Amounts are whole milli-units. Source: kubernetes/kubernetes, ``pkg/controller/podautoscaler``.
"""
