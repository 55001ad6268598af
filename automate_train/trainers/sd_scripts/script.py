"""Which script of a repository trains.

Covers: finding it in a folder of sd-scripts, in a GUI's folder that holds one, or in the built-in tiny trainer; which
family of models it trains. Not: what it accepts (`script_options`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ...errors import UserError, nearest
from ...records import Setting
from .value_types import is_on, text_in

TINY = Path(__file__).parents[1] / "tiny"
PLAIN_MODELS = ("", "sd", "sd1", "sd15", "sd2")


def script_of(given: Mapping[str, Setting]) -> Path:
    """The script that a run's settings choose; `UserError` with the setting that is wrong."""
    repo = given.get("repo_dir")
    if text_in(repo) is None:
        hint = "give the folder of kohya-ss/sd-scripts, or tiny for the built-in trainer"
        where = str(repo.source) if repo else "configs"
        raise UserError("is not given" if repo is None else "needs a path", source=where, key="repo_dir", hint=hint)
    script, model_type = text_in(given.get("train_script")), text_in(given.get("model_type"))
    try:
        return find_script(Path(text_in(repo) or ""), script, model_type, is_on(given.get("sdxl")))
    except UserError as error:
        found = error.problem
        setting = given.get(found.key) or repo
        where, key = (str(setting.source), setting.written) if setting else ("", found.key)
        raise UserError(found.message, source=where, key=key, hint=found.hint) from None


def script_name(given: Mapping[str, Setting]) -> str:
    """The name that the script would have, for a run whose script cannot be found."""
    if script := text_in(given.get("train_script")):
        return script
    try:
        return _script_of(text_in(given.get("model_type")), is_on(given.get("sdxl")))
    except UserError:
        return _script_of(None, False)


def find_script(repo_dir: Path, train_script: str | None, model_type: str | None, sdxl: bool) -> Path:
    """The script to start, as an absolute path; `UserError` that names the scripts there are.

    `repo_dir` is a folder of sd-scripts, a GUI's folder that holds it as `sd-scripts/`, or the word `tiny` (a folder
    of that name must be given by its full path). Without `train_script` the family decides: `model_type` flux ->
    flux_train_network.py.
    """
    name = str(train_script) if train_script else _script_of(model_type, sdxl)
    try:
        repo = TINY if str(repo_dir) == "tiny" else Path(repo_dir).expanduser().absolute()
        folders = [folder for folder in (repo, repo / "sd-scripts") if folder.is_dir()]
        found = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if found:
            return found
        there = sorted({path.name for folder in folders for path in folder.glob("*train*.py") if path.is_file()})
    except (OSError, RuntimeError, ValueError) as error:  # no permission, ~nobody, NUL, a name too long
        raise UserError(f"{name[:60]!r} in {str(repo_dir)!r} cannot be read: {error}", key="repo_dir") from None
    if not folders:
        hint = "give the folder of kohya-ss/sd-scripts, or tiny for the built-in trainer"
        raise UserError(f"there is no folder {str(repo_dir)!r}", key="repo_dir", hint=hint)
    hint = "is it a folder of kohya-ss/sd-scripts?"
    if there:
        hint = f"it has {', '.join(there[:12])}{' ...' if len(there) > 12 else ''}"
        hint = " ".join(part for part in (nearest(name, there), hint) if part)
    elif len(folders) == 2:
        hint = "its submodule is missing: git submodule update --init"
    key = "train_script" if train_script else "model_type" if there else "repo_dir"
    raise UserError(f"{folders[-1]} has no script {name!r}", key=key, hint=hint)


def _script_of(model_type: str | None, sdxl: bool) -> str:
    family = str(model_type or "").lower().replace("-", "_").replace("sd1.5", "sd15")
    if not re.fullmatch(r"\w*", family):
        raise UserError(f"{model_type!r} is not a model type", key="model_type", hint="for example sdxl, sd3, flux")
    if sdxl and family not in (*PLAIN_MODELS, "sdxl"):
        raise UserError(f"{model_type} and sdxl: true are two different models", key="model_type", hint="take one out")
    family = "sdxl" if sdxl else "" if family in PLAIN_MODELS else family
    return f"{family}_train_network.py" if family else "train_network.py"


def family_of(script: Path) -> str:
    """`sdxl`, `flux` ... of the script's name; "" for SD 1.5 and 2."""
    match = re.match(r"(\w+?)_train", script.stem)
    return match[1] if match else ""
