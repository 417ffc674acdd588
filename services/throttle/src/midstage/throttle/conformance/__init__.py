"""The engine judged by cases of other products: inputs, and what those answered."""
