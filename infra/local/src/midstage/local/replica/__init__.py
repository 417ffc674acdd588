"""A stand-in for an LLM server: OpenAI's wire form on real HTTP, words for tokens, no model.

``python -m midstage.local.replica --port P --speed S`` serves ``POST /v1/chat/completions``. What
a caller can see is real: slots, a bounded queue, time to first token, time per token, cold start,
``usage`` counted from what came and went. What it says is meaningless.
"""
