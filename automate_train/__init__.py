"""Hyper-parameter sweeps of LoRA training over kohya-ss/sd-scripts.

The way of a sweep is the list of folders; `pipeline.py` is the same way as a list of steps:

    config -> sweep -> preflight -> training -> sampling -> report
              (trainers, executors, sampling/servers: what the stages are plugged into)   (store: what all remember)

An import points down: `records errors` < `config machine store` < `sweep trainers executors sampling/servers` <
`preflight training sampling` < `report display` < `pipeline` < `cli`; `hook` and `trainers/tiny` stand alone.

This file imports nothing: `--version` must cost no more than Python itself.
"""

__version__ = "0.1.0"
