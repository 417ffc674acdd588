"""The embedded platform on one machine, and a replay of a real trace on it.

Kafka, Envoy and the services run as child processes, on loopback, with their data in one folder.
"""
