"""Image servers: what one is (`protocol`), and a package or module for each kind.

Covers: everything that only one kind of server knows. Not: checkpoints, batches and journals (`sampling`).
"""
