"""Euge Trainer's own configs/train_config.py with what its command line cannot override: a list of folders.

Euge Trainer reads this by `--config`; it starts in its own folder, and IMAGES_FOLDER comes from `env` in default.json.
"""

import os
import runpy


def get_config():
    config = runpy.run_path("configs/train_config.py")["get_config"]()
    config.image_dirs = [os.environ["IMAGES_FOLDER"]]
    return config
