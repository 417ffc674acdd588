"""The request log into Kafka, heartbeats, and people's files into Envoy's."""
