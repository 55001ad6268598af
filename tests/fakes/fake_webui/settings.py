"""What the double can be told to be, and what it remembers for /_log."""

import threading
import time
from dataclasses import dataclass, field


@dataclass
class Settings:
    auth: str = ""  # user:password; empty: nothing is protected
    uploader_auth: str = ""  # empty: as auth
    api: bool = True
    uploader: bool = True
    scheduler: bool = True
    seconds: float = 0.05  # one picture
    last_sleep: float = 1.0  # how long the runner lingers after its last task, deaf to kicks (stall 1)
    upload_rate: float = 0.0  # bytes a second that an upload is received with; 0: as fast as they come
    current: str = "webui"  # what current_task_id says: "webui" (its own text) or "own" (the task's id)
    infotext: bool = True  # off: results answers 500 'NoneType'
    lora_hashes: bool = True  # the option "Add Lora hashes to infotext"
    old_results: bool = False  # the old address /results/{id} only
    rescan: bool = False  # as the real one: look at the folder again when a name is unknown
    hash_of_file: bool = False  # as Forge: Lora hashes are of the whole file, not of the tensors
    sdnext: bool = False  # as SD.Next: the infotext names its LoRAs under LoRA networks, without hashes
    samples_format: str = "png"
    map_size: str = "32x32"  # of the map that ControlNet adds after the picture, without an infotext
    before_highres: bool = False  # the option "Save a copy of image before applying highres fix"
    no_effect: bool = False  # the LoRA is read and changes nothing
    unknown_fails: bool = False  # as Forge: a LoRA that is not listed fails the task
    model: str = "base_model"
    models: str = "base_model,other_model"


@dataclass
class Log:
    """Lists of dicts; appended under the lock because handlers run in threads."""

    requests: list = field(default_factory=list)
    uploads: list = field(default_factory=list)
    pictures: list = field(default_factory=list)
    busy_seconds: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, **entry) -> None:
        with self.lock:
            getattr(self, kind).append({"at": time.time(), **entry})
