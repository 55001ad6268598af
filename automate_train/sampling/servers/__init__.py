"""Image servers: what one is (`protocol`), one package or module for each kind, and which kind is meant (`connect`).

Covers: everything that only one kind of server knows. Not: checkpoints, batches and journals (`sampling`).
"""
