"""The embedded platform: real Kafka, Envoy and services as child processes, and a replay of a real trace."""
