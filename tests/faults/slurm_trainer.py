"""A fake trainer with states, for sweeps on Slurm: 6 epochs of 4 steps, without torch.

Stands at the end of a script of `sd_scripts_kit.script()`. Its weight is one number that each step changes by its place
in the training: a step that was left out, or done twice, is seen in what it saves. It counts as upstream does: a
resumed run's steps from the first epoch that it trains. It holds a lock of its run, makes each checkpoint once and for
all, and adds its name to `completed`. On SIGTERM a third of them saves a state and exits with 143, a third does so with
0, and a third dies.
"""

import fcntl
import json
import os
import re
import signal
import struct
import sys
import time
import zipfile
import zlib

EPOCHS, BATCHES = 6, 4


def main() -> None:
    with open(sys.argv[sys.argv.index("--config_file") + 1], encoding="utf-8") as file:
        text = file.read()
    option = dict(re.findall(r'^(\w+) = "?(.*?)"?$', text, re.MULTILINE))
    name, output, ground = option["output_name"], option["output_dir"], os.environ["FAULT_GROUND"]
    lock = os.open(f"{ground}/locks/{name}", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        told(f"{ground}/violations", f"{name} {output}\n")
        sys.exit(99)
    dice = zlib.crc32(name.encode()) % 3
    wanted = []
    if dice < 2:
        signal.signal(signal.SIGTERM, lambda number, frame: wanted.append(number))
    print(f"  num batches per epoch: {BATCHES}", flush=True)
    done, weight = 0, 0
    if "resume" in option:
        done = int(option["initial_step"])
        with open(f"{option['resume']}/weight", encoding="ascii") as file:
            weight = int(file.read())
    before = done // BATCHES * BATCHES
    event("training", total_steps=EPOCHS * BATCHES - before, epochs=EPOCHS)
    for step in range(done + 1, EPOCHS * BATCHES + 1):
        time.sleep(0.1)
        weight = changed(weight, step)
        epoch = (step - 1) // BATCHES + 1
        event("metrics", step=step - before, epoch=epoch, loss=1 / step)
        if step % BATCHES == 0 and epoch < EPOCHS:
            save(f"{output}/{name}-{epoch:06d}.safetensors", weight, option, epoch, step - before)
            save_state(f"{output}/{name}-{epoch:06d}-state", epoch, step - before, weight)
        if wanted and step < EPOCHS * BATCHES:
            if step % BATCHES:
                save_state(f"{output}/{name}-step{step - before:08d}-state", epoch, step - before, weight)
            sys.exit(143 if dice else 0)
    save(f"{output}/{name}.safetensors", weight, option, EPOCHS, EPOCHS * BATCHES - before)
    told(f"{ground}/completed", f"{name} {weight}\n")


def changed(weight: int, step: int) -> int:
    return (weight * 31 + step) % 1_000_003


def save(path: str, weight: int, option: dict[str, str], epoch: int, step: int) -> None:
    header = json.dumps({
        "__metadata__": {"ss_training_comment": option["training_comment"], "weight": str(weight),
                         "ss_steps": "2", "ss_max_train_steps": "2"},
        "w": {"dtype": "F32", "shape": [1024], "data_offsets": [0, 4096]},
    }).encode()  # fmt: skip
    with open(path, "xb") as file:  # nothing may be overwritten
        file.write(struct.pack("<Q", len(header)) + header + b"\x00\x00\x80\x3f" * 1024)
    event("checkpoint", path=path, epoch=epoch, step=step, nan=0)
    told(f"{os.environ['FAULT_GROUND']}/checkpoints", f"{path} {weight}\n")


def save_state(path: str, epoch: int, counted: int, weight: int) -> None:
    os.mkdir(path)
    with open(f"{path}/weight", "w", encoding="ascii") as file:
        file.write(str(weight))
    with open(f"{path}/train_state.json", "w", encoding="ascii") as file:
        json.dump({"current_epoch": epoch, "current_step": counted}, file)
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    with open(f"{path}/model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + struct.pack("<f", 1.0))
    for pickle in ("optimizer.bin", "scheduler.bin", "random_states_0.pkl"):
        with zipfile.ZipFile(f"{path}/{pickle}", "w") as file:
            file.writestr("data.pkl", b"x" * 100)


def event(kind: str, **fields: object) -> None:
    line = json.dumps({"at": time.time(), "kind": kind, **fields}) + "\n"
    told(f"{os.environ['AUTOMATE_TRAIN_ATTEMPT']}/events.jsonl", line)


def told(file: str, line: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, line.encode())
    os.close(descriptor)


if __name__ == "__main__":
    main()
