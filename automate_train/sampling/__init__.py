"""Checkpoints -> WebUIs -> sample pictures, in a process of its own beside the sweep, or long after it.

    automate-train sample DIR [--prompt_path NEW] [--webui_url U] [--only 0,3] [--epochs 5-9]

Covers: which checkpoints are due (`due`, `lookout`), which server gets which (`dispatch`), bringing and taking away
their LoRAs (`carrier`), the pictures (`drawer`, `pictures`), looking at the servers before a sweep (`checks`).
Not: HTTP (`webui`), prompts (`payloads`), SQL (`sample_journal`), the trackers (`hook`). It may be killed at any
moment: the journal knows what is on a server before it is there, a picture's `.json` says that it is made.
"""
