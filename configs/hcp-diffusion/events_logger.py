"""A logger of HCP-Diffusion 0.9 that reports to automate-train: loss, learning rate, checkpoints.

Covers: what `hcpdiff.loggers.LoggerGroup` asks of a logger. Standard library only: HCP-Diffusion's Python imports it.
"""

import json
import os
import time


def report(kind, **fields):
    file = os.environ.get("AUTOMATE_TRAIN_EVENTS")
    if file:
        with open(file, "a", encoding="utf-8") as events:
            events.write(json.dumps({"at": time.time(), "kind": kind, **fields}) + "\n")


class EventsLogger:
    enable_log_image = False
    image_log_step = 0

    def __init__(self, exp_dir, total_steps, log_step=10):
        """`exp_dir` is None in all processes but the first."""
        self.folder, self.total, self.log_step = exp_dir, total_steps, log_step
        self.training = False

    def info(self, text):
        print(text, flush=True)
        if self.folder is None:
            return
        if "Running training" in text and not self.training:
            self.training = True
            report("training", total_steps=self.total)
        if text.startswith("Saved state, step: "):
            step = int(text.rpartition(" ")[2])
            which = "last" if step >= self.total else "step"
            path = os.path.join(os.path.abspath(self.folder), "ckpts", f"unet-{step}.safetensors")
            report("checkpoint", path=path, which=which, step=step)

    def log(self, datas, step=0):
        if self.folder is not None and step % self.log_step == 0:
            rate = {"unet": datas["LR_model"]["data"][0]}
            report("metrics", step=step, loss=float(datas["Loss"]["data"][0]), lr=rate)

    def log_image(self, images, step=0):
        pass

    def add_previewer(self, previewer):
        pass

    def enable(self):
        pass

    def disable(self):
        self.folder = None
