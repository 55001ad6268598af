"""Draws: small real PNGs with the infotext a WebUI writes, one job at a time."""

import hashlib
import random
import re
import struct
import threading
import time
import zlib


class Drawing:
    def __init__(self, settings, loras, log) -> None:
        self._settings, self._loras, self._log = settings, loras, log
        self.job = threading.Lock()  # the WebUI's queue lock: jobs are serialised
        self.model = settings.model

    def draw(self, params: dict, who: str, fault: dict | None = None) -> list[tuple[bytes, str]]:
        """[(png, infotext)] of one job; more than one image comes with the grid in front."""
        fault = fault or {}
        count = int(params.get("batch_size", 1)) * int(params.get("n_iter", 1))
        seed = int(params.get("seed", -1))
        seed = random.randrange(1 << 31) if seed == -1 else seed
        wanted = params.get("checkpoint") or params.get("override_settings", {}).get("sd_model_checkpoint")
        with self.job:
            began = time.monotonic()
            if wanted in self._settings.models.split(","):
                self.model = wanted  # an unknown one is ignored silently
            made = []
            for number in range(count):
                time.sleep(self._settings.seconds)
                made.append(self._one(params, seed + number, fault))
                self._log.add("pictures", who=who, prompt=params.get("prompt", ""), seed=seed + number)
            with self._log.lock:
                self._log.busy_seconds += time.monotonic() - began
        if params.get("enable_hr") and self._settings.before_highres:
            made.insert(0, (png(*_size({**params, "enable_hr": False}), seed, made[0][1]), made[0][1]))
        if any(
            unit.get("enabled") for unit in params.get("alwayson_scripts", {}).get("controlnet", {}).get("args", ())
        ):
            made.append((png(*map(int, self._settings.map_size.split("x")), seed + 1, ""), ""))
        if count > 1:
            width, height = _size(params)
            made.insert(0, (png(width * count, height, seed, made[0][1]), made[0][1]))
        return made

    def unknown(self, params: dict) -> list[str]:
        """LoRAs of the prompt that fail it; in most WebUIs none do."""
        tags = re.findall(r"<lora:([^:>]+)[^>]*>", str(params.get("prompt", "")))
        return [tag for tag in tags if self._settings.unknown_fails and not self._loras.loaded(tag)]

    def _one(self, params: dict, seed: int, fault: dict) -> tuple[bytes, str]:
        width, height = _size(params)
        model = "surprise_model" if fault.get("task") == "wrong-model" else self.model
        text = f"{params.get('prompt', '')}\nNegative prompt: {params.get('negative_prompt', '')}\n"
        text += f"Steps: {params.get('steps', 20)}, Sampler: {params.get('sampler_name', 'Euler')}, Seed: {seed}, "
        text += f"Size: {width}x{height}, Model hash: {model_hash(model)[:10]}, Model: {model}"
        tags = re.findall(r"<lora:([^:>]+)[^>]*>", str(params.get("prompt", "")))
        if self._settings.rescan and any(tag not in self._loras.listed for tag in tags):
            self._loras.refresh()
        used = (
            []
            if fault.get("task") == "no-lora"
            else [u for tag in tags if (u := self._loras.loaded(tag, self._settings.hash_of_file))]
        )
        if used and self._settings.sdnext:
            text += ', LoRA networks: "' + ", ".join(f"{name}:1.0" for name, _ in used) + '"'
        elif used and self._settings.lora_hashes:
            text += ', Lora hashes: "' + ", ".join(f"{name}: {digest}" for name, digest in used) + '"'
        text += ", Version: v1.9.4"
        colour = seed + (0 if self._settings.no_effect else sum(int(digest[:4], 16) for _, digest in used))
        return png(width, height, colour, text if self._settings.infotext else ""), text


def _size(params: dict) -> tuple[int, int]:
    scale = float(params.get("hr_scale", 2)) if params.get("enable_hr") else 1
    return int(params.get("width", 64) * scale), int(params.get("height", 64) * scale)


def model_hash(model: str) -> str:
    return hashlib.sha256(model.encode()).hexdigest()


def png(width: int, height: int, seed: int, text: str) -> bytes:
    """A picture in the colour of its seed."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    row = b"\0" + bytes(((seed * 37) % 256, (seed * 101) % 256, (seed * 197) % 256)) * width
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))]
    if text:
        parts.append(chunk(b"iTXt", b"parameters\0\0\0\0\0" + text.encode()))
    parts += [chunk(b"IDAT", zlib.compress(row * height, 1)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
