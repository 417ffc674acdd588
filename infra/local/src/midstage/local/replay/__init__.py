"""The replay: a real trace's arrivals, invented customers, and a report that compares row by row.

``caller`` offers the trace to the gateway and writes its own list; ``reconcile`` compares that
list with the usage store. The caller shares no code path with what it checks but the contracts.
"""
