"""Hyper-parameter sweeps of LoRA training over kohya-ss/sd-scripts.

Covers: the package's version. Does not import anything: `--version` must cost no more than Python itself.
"""

__version__ = "0.1.0"
