"""The code that runs inside the trainer's process: standard library only; it imports nothing from the package.

The files are copied into each attempt's `hook/` folder, which is on the trainer's sys.path while they are imported.
So all but the two scripts' names begin with `hook_`, which shadows no module of the trainer's.
"""
