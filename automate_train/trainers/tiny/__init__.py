"""A small real LoRA trainer with sd-scripts' command line, so that everything runs without a GPU."""
