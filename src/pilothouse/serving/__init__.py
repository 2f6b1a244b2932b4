"""Serving: any method behind the OpenAI protocol, over a model in this process or in front of another server."""
