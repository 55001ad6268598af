"""Folders of links to pictures, filled once."""

from __future__ import annotations

from pathlib import Path

from automate_train.records import Cache
from automate_train.training import latents_cache


def test_links_stand_in_for_pictures_and_leave_the_users_folder_alone(tmp_path: Path):
    pictures = tmp_path / "pictures"
    (pictures / "10_cat").mkdir(parents=True)
    for name in ("a.png", "10_cat/b.png"):
        (pictures / name).write_bytes(b"picture")
    links = {name: str(pictures / name) for name in ("a.png", "10_cat/b.png")}
    cache = Cache(str(tmp_path / "datasets" / "h"), links)
    for _ in range(2):
        latents_cache.link(cache)
    folder = Path(cache.path)
    assert (folder / "a.png").read_bytes() == (folder / "10_cat/b.png").read_bytes() == b"picture"
    (folder / "a.npz").write_bytes(b"latents")
    assert sorted(path.name for path in pictures.rglob("*")) == ["10_cat", "a.png", "b.png"]
    latents_cache.link(Cache(cache.path, {"a.png": str(pictures / "10_cat/b.png")}))
    assert (folder / "a.png").readlink() == pictures / "10_cat/b.png", "a link that leads elsewhere is made again"


def test_a_cache_is_filled_once(tmp_path: Path):
    cache = Cache(str(tmp_path / "h"), {})
    assert not latents_cache.is_filled(cache.path)
    latents_cache.link(cache)
    assert not latents_cache.is_filled(cache.path)
    latents_cache.mark_filled(cache.path)
    assert latents_cache.is_filled(cache.path)
