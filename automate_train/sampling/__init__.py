"""Checkpoints -> image servers -> sample pictures, in a process of its own, while the sweep runs or long after it.

    automate-train sample DIR [--prompt_path NEW] [--webui_url U] [--only 0,3] [--epochs 5-9]

Covers: which checkpoints are due (`schedule`, `planner`), which server draws which (`dispatch`), bringing their LoRAs
and taking them away (`uploader`), the pictures (`generator`, `acceptance`, `image_store`), in one `session`; starting
all this while a sweep runs (`process`). Not: what a server is told (`servers`), prompts (`config.prompts`), SQL
(`store`).
The process may be killed at any moment: the journal names what is on a server before it is there, and a picture's JSON
file says that the picture is made.
"""
