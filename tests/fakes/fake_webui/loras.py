"""The LoRA folder: files, the uploader's odd hash with its cache that never looks at mtime, the WebUI's list."""

import hashlib
import json
import re
from pathlib import Path

BLOCK = 65536


class LoraFolder:
    def __init__(self, home: Path) -> None:
        self.root = (home / "models" / "Lora").resolve()
        self.root.mkdir(parents=True, exist_ok=True)
        self._cache_file = home / "hashes.json"
        self._cache = json.loads(self._cache_file.read_text()) if self._cache_file.exists() else {}
        self.overwrite = False
        self.listed: dict[str, dict] = {}  # empty after a start: only refresh fills it

    def place(self, folder: str, sent_name: str, custom_name: str) -> Path:
        """Where an upload goes; the dot rule of custom_name included. AssertionError for ../"""
        assert "../" not in folder
        name = sent_name
        if custom_name.strip():
            name = re.sub(r"[ /\\]", "_", custom_name.strip())
            name += "" if "." in name else ".safetensors"
        return self.root / folder / name

    def take(self, half: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        half.replace(target)
        self.forget(str(target))

    def forget(self, path: str) -> bool:
        known = self._cache.pop(path, None) is not None
        self._cache_file.write_text(json.dumps(self._cache))
        return known

    def poison(self, path: str) -> None:
        """A wrong hash stays in the cache, as after a question during the final move."""
        self._cache[str(self.root / path)] = "0" * 64

    def hash(self, path: Path) -> str:
        key = str(path)
        if key not in self._cache:
            digest = hashlib.sha256()
            with open(path, "rb") as stream:
                while len(block := stream.read(BLOCK)) == BLOCK:
                    digest.update(block)
            digest.update(str(path.stat().st_size).encode())
            self._cache[key] = digest.hexdigest()
            self._cache_file.write_text(json.dumps(self._cache))
        return self._cache[key]

    def hashes(self, folder: str) -> dict[str, str]:
        found = sorted((self.root / folder).rglob("*.safetensors"))
        return {path.relative_to(self.root).as_posix(): self.hash(path) for path in found}

    def delete(self, path: str) -> bool:
        target = self.root / path
        if not target.is_file():
            return False
        target.unlink()
        if target.parent != self.root and not any(target.parent.iterdir()):
            target.parent.rmdir()
        return True

    def files(self) -> list[str]:
        return sorted(p.relative_to(self.root).as_posix() for p in self.root.rglob("*") if p.is_file())

    def refresh(self) -> None:
        self.listed = {}
        for path in sorted(self.root.rglob("*.safetensors")):
            metadata, _ = header(path)
            alias = metadata.get("ss_output_name", path.stem)
            self.listed[path.stem] = {"name": path.stem, "alias": alias, "path": str(path), "metadata": metadata}

    def loaded(self, tag: str, of_file: bool = False) -> tuple[str, str] | None:
        """(name, 12 hex) of what a tag loads: looked up among names, then aliases; None if the file is gone."""
        entry = self.listed.get(tag) or next((e for e in self.listed.values() if e["alias"] == tag), None)
        if entry is None or not Path(entry["path"]).is_file():
            return None
        metadata, start = header(Path(entry["path"]))
        if of_file:
            return entry["name"], hashlib.sha256(Path(entry["path"]).read_bytes()).hexdigest()[:12]
        if metadata.get("sshs_model_hash"):
            return entry["name"], metadata["sshs_model_hash"][:12]
        with open(entry["path"], "rb") as stream:
            stream.seek(start)
            return entry["name"], hashlib.sha256(stream.read()).hexdigest()[:12]


def header(path: Path) -> tuple[dict, int]:
    """(metadata, where the tensors begin); a broken file has none."""
    with open(path, "rb") as stream:
        try:
            length = int.from_bytes(stream.read(8), "little")
            return json.loads(stream.read(min(length, 1 << 20))).get("__metadata__", {}), 8 + length
        except ValueError:
            return {}, 0
