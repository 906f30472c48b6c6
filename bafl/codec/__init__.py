"""Payloads: one file, one spelling. Canonical safetensors, models, updates and their encodings."""
