"""The engine judged by cases of other autoscalers: inputs, and what those decided by them."""
