"""One Stable Diffusion WebUI over HTTP: bring it a LoRA, queue pictures, fetch them, take the LoRA away again.

Covers: the WebUI's own API, the model uploader and the agent scheduler, or a folder shared with the server instead of
the uploader; the judgement of a picture by its infotext.
Not: when to come again, journals, runs, folders of a sweep (`sampler`); prompts and payloads (`prompts`).
What these servers really answer is unforgiving: a 200 may be a failure, a missing LoRA is drawn without a word. So an
upload is believed only by its hash, a picture only by its infotext, and an answer is never assumed to be JSON.
"""

from .client import Abilities, WebUI
from .errors import Again, Final, Mismatch, Trouble, Unreachable
from .files import lora_hash, uploader_hash, whole
from .http import base_url
from .pictures import Picture, Verdict, explain, judge
from .tasks import Failed, Queue, Waiting

__all__ = [
    "Abilities",
    "Again",
    "Failed",
    "Final",
    "Mismatch",
    "Picture",
    "Queue",
    "Trouble",
    "Unreachable",
    "Verdict",
    "Waiting",
    "WebUI",
    "base_url",
    "explain",
    "judge",
    "lora_hash",
    "uploader_hash",
    "whole",
]
