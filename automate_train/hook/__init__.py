"""What runs inside the trainer's process: standard library only, imports nothing from the package."""
