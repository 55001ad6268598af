"""Which pictures a run trains on, with their captions.

Covers: every subset of the dataset TOML, ours or the user's own. Not: what is wrong with them (`dataset_checks`),
leaving held-out ones out (`caches`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...errors import UserError
from ...records import PictureFolder
from . import image_files
from .dataset import each_subset, effective
from .resolve import Resolved


def training_folders(resolved: Resolved) -> Iterator[PictureFolder]:
    """`UserError` for a metadata file, whose pictures only the trainer knows; a folder that cannot be read is left to
    `dataset_checks`."""
    default = resolved.accepted.get("caption_extension")
    for dataset, subset in each_subset(resolved.document):
        if "metadata_file" in subset:
            text = f"cannot keep pictures of {subset['metadata_file']} from the runs: only the trainer reads it"
            raise UserError(text, key="held_out", hint="use caption files, or set held_out to null")
        try:
            folder = image_files.listing(subset.get("image_dir", ""))
        except (OSError, ValueError):
            continue
        extension = effective(resolved.document, dataset, subset, "caption_extension")
        extension = extension or (default.default if default else None) or ".caption"
        captions = folder.captions(str(extension))
        paths = {name: os.path.join(folder.path, captions[name]) if name in captions else "" for name in folder.images}
        yield PictureFolder(folder.path, paths, bool(subset.get("is_reg")))
