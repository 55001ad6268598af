"""A fake trainer for the fault suite: what a training does to the world in 20 to 300 ms, without torch.

Stands at the end of a script of `sd_scripts_kit.script()`. It holds an exclusive lock on a file of its run (its worker
inherits it) and writes a line into `violations` when somebody else holds that; it tells of its checkpoint, writes it in
two halves, and adds its name to `completed` when all is done. How long it takes, and whether it has a worker that
outlives it, follows from its name.
"""

import fcntl
import json
import os
import re
import struct
import subprocess
import sys
import time
import zlib


def main() -> None:
    with open(sys.argv[sys.argv.index("--config_file") + 1], encoding="utf-8") as file:
        text = file.read()
    name, output, comment = (
        re.search(rf'^{key} = "(.*)"$', text, re.MULTILINE)[1]
        for key in ("output_name", "output_dir", "training_comment")
    )
    ground = os.environ["FAULT_GROUND"]
    dice = zlib.crc32(name.encode())
    lock = os.open(f"{ground}/locks/{name}", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        told(f"{ground}/violations", f"{name} {output}\n")
        sys.exit(99)
    seconds = 0.02 + dice % 280 / 1000
    if dice % 4 == 0:
        stays = "60" if dice % 8 == 0 else str(seconds)
        subprocess.Popen(["/bin/sleep", stays], pass_fds=[lock])
    print("steps: 50%", flush=True)
    time.sleep(seconds / 2)
    file = f"{output}/{name}.safetensors"
    header = json.dumps({
        "__metadata__": {"ss_training_comment": comment, "ss_steps": "2", "ss_max_train_steps": "2"},
        "w": {"dtype": "F32", "shape": [1024], "data_offsets": [0, 4096]},
    }).encode()  # fmt: skip
    data = struct.pack("<Q", len(header)) + header + b"\x00\x00\x80\x3f" * 1024
    with open(file, "wb", buffering=0) as half:
        half.write(data[:2000])
        time.sleep(seconds / 2)
        half.write(data[2000:])
    assert os.path.getsize(file) == len(data), "the disk is full"
    event = {"at": time.time(), "kind": "checkpoint", "path": file, "epoch": 1, "step": 2, "nan": 0}
    told(f"{os.environ['AUTOMATE_TRAIN_ATTEMPT']}/events.jsonl", json.dumps(event) + "\n")
    told(f"{ground}/completed", f"{name}\n")


def told(file: str, line: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, line.encode())
    os.close(descriptor)


if __name__ == "__main__":
    main()
