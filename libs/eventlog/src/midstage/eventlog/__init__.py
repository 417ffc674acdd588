"""The log behind one Protocol: Kafka, a verified fake, versioned logs, the consumer loop."""
