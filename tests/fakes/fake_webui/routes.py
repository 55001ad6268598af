"""What each route answers when nothing goes wrong: `answer(webui, request)` -> (status, JSON, or bytes of a zip)."""

import base64
import io
import json
import re
import time
import zipfile
from pathlib import Path

from drawing import model_hash

QUEUE = "/agent-scheduler/v1"
FREE = ("/sdapi/v1/loras", "/sdapi/v1/refresh-loras", f"{QUEUE}/samplers", f"{QUEUE}/sd-models")
NOT_FOUND = (404, {"detail": "Not Found"})
UPLOADER = ("/uploader/", "/upload_", "/models/", "/delete/", "/remove_")


def error(kind: str, text: str) -> tuple[int, dict]:
    return 500, {"error": kind, "detail": "", "body": "", "errors": text}


def no(message: str, **more) -> tuple[int, dict]:
    return 200, {"success": False, "message": message, **more}


def yes(message: str = "", **more) -> tuple[int, dict]:
    return 200, {"success": True, "message": message, **more}


def answer(webui, request):
    path = request.path
    if path.startswith(UPLOADER):
        return uploader(webui, request) if webui.settings.uploader else NOT_FOUND
    if path.startswith(QUEUE):
        return scheduler(webui, request, path[len(QUEUE) :]) if webui.settings.scheduler else NOT_FOUND
    return sdapi(webui, request) if webui.settings.api else NOT_FOUND


def sdapi(webui, request):
    match (request.method, request.path):
        case ("GET", "/sdapi/v1/options"):
            model, settings = webui.drawing.model, webui.settings
            return 200, {
                "sd_model_checkpoint": f"{model}.safetensors",
                "sd_checkpoint_hash": model_hash(model),
                "samples_format": settings.samples_format,
                "lora_add_hashes_to_infotext": settings.lora_hashes,
                "save_images_before_highres_fix": settings.before_highres,
                "queue_paused": webui.tasks.paused,
            }
        case ("GET", "/sdapi/v1/loras"):
            return 200, list(webui.loras.listed.values())
        case ("POST", "/sdapi/v1/refresh-loras"):
            webui.loras.refresh()
            return 200, None
        case ("GET", "/sdapi/v1/progress"):
            busy = bool(webui.drawing.job.locked())
            return 200, {"progress": 0.0, "state": {"job_count": int(busy)}}
        case ("POST", "/sdapi/v1/txt2img"):
            params = request.json()
            if params.get("sampler_name", "Euler").startswith("wrong"):
                return 404, {"detail": "Sampler not found"}
            made = webui.drawing.draw(params, "txt2img", webui.faults.of_task())
            webui.tasks.stuck = None
            info = {"infotexts": [text for _, text in made], "sd_model_name": webui.drawing.model}
            images = [base64.b64encode(data).decode() for data, _ in made]
            return 200, {"images": images, "parameters": {}, "info": json.dumps(info)}
    return NOT_FOUND


def uploader(webui, request):
    loras, form = webui.loras, request.form()
    match request.path:
        case "/uploader/ping":
            return 200, {"message": "hello"}
        case "/upload_lora_model":
            return upload(webui, request)
        case "/upload_options/overwrite":
            if "overwrite_" not in request.query:
                return 422, {"detail": [{"loc": ["query", "overwrite_"], "msg": "field required", "type": "missing"}]}
            loras.overwrite = request.query["overwrite_"].lower() == "true"
            return yes()
        case "/models/query_hash_lora_all":
            folder = loras.root / form.get("path", "")
            if not folder.exists():
                return no(f"{folder} does not exist")
            if not folder.is_dir():
                return no(f"{folder} is not a directory")
            return 200, {"success": True, "time_elapsed": 0.0, "hashes": loras.hashes(form.get("path", ""))}
        case "/models/query_hash_lora":
            if not form.get("path"):
                return error("IsADirectoryError", "[Errno 21] Is a directory")
            target = loras.root / form["path"]
            if not target.is_file():
                return no("Could not find the file", hashvalue="")
            return yes(hashvalue=loras.hash(target))
        case "/delete/lora_model":
            where = form.get("model_path", "")
            return yes("deleted") if loras.delete(where) else no(f"Could not find {where}")
        case "/remove_cache":
            return yes() if loras.forget(form.get("file_path", "")) else no("not in the cache")
    return NOT_FOUND


def upload(webui, request):
    fields, sent, half = request.fields, request.sent_name, request.half
    if sent is None:
        return 422, {"detail": [{"loc": ["body", "file"], "msg": "field required", "type": "missing"}]}
    if "/" in sent:
        return no("There was an error uploading the file")
    try:
        target = webui.loras.place(fields.get("lora_path", ""), sent, fields.get("custom_name", ""))
    except AssertionError:
        return error("AssertionError", "")
    size = half.stat().st_size
    stored = webui.loras.overwrite or not target.exists()  # decided only now, after the whole body
    webui.log.add("uploads", path=target.relative_to(webui.loras.root).as_posix(), bytes=size, stored=stored)
    if not stored:
        return no(f"{target} already exists, set overwrite to True")
    webui.loras.take(half, target)
    return yes(f"Successfully uploaded {sent} to {target}")


def scheduler(webui, request, path: str):
    tasks, query = webui.tasks, request.query
    limit, offset = int(query.get("limit", 20)), int(query.get("offset", 0))
    if (request.method, path) == ("POST", "/queue/txt2img"):
        params = request.json()
        if not isinstance(params, dict) or not isinstance(params.get("steps", 20), int):
            return 422, {"detail": [{"loc": ["body", "steps"], "msg": "value is not a valid integer", "type": "int"}]}
        if params.get("script_name"):
            return error("Exception", "Not found script")
        return 200, {"task_id": tasks.add(params)}
    if (request.method, path) == ("GET", "/queue"):
        rows = tasks.sql("select * from tasks where status = 'pending' order by place")
        rows = [row for row in rows if row["id"] != tasks.shown()]
        shown = {"pending_tasks": [listed(row) for row in rows[offset : offset + limit]]}
        more = {"current_task_id": tasks.shown(), "total_pending_tasks": len(rows), "paused": tasks.paused}
        return 200, shown | more
    if (request.method, path) == ("GET", "/history"):
        rows = tasks.sql("select * from tasks where status != 'pending' order by place desc")
        return 200, {"tasks": [listed(row) for row in rows[offset : offset + limit]], "total": len(rows)}
    if (request.method, path) in (("POST", "/queue/pause"), ("POST", "/queue/resume")):
        tasks.paused = path.endswith("pause")
        tasks.kick()
        return yes()
    found = re.fullmatch(r"/task/([^/]+)(/results|/position)?|/results/([^/]+)", path)
    old = bool(found and found[3])
    if not found or (found[2] == "/results" and webui.settings.old_results) or (old and not webui.settings.old_results):
        return NOT_FOUND
    task_id = found[1] or found[3]
    row = tasks.row(task_id)
    if request.method == "DELETE":
        return yes() if tasks.delete(task_id) else error("Exception", "no such task")
    if row is None:
        return no("Task not found")
    if found[2] == "/results" or old:
        return results(tasks, row, query.get("zip") == "true")
    if found[2] == "/position":
        place = tasks.sql("select count(*) n from tasks where status = 'pending' and place <= ?", row["place"])[0]["n"]
        pending = row["status"] == "pending"
        return 200, {"success": True, "data": {"status": row["status"], "position": place if pending else None}}
    created = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(row["created"]))
    return 200, {"success": True, "data": listed(row) | {"status": tasks.status(row), "created_at": created}}


def listed(row) -> dict:
    more = {"priority": row["place"], "position": row["place"], "created_at": int(row["created"] * 1000)}
    params = json.loads(row["params"])
    return {
        "id": row["id"],
        "api_task_id": None,
        "status": row["status"],
        "params": params,
        "result": row["result"],
    } | more


def results(tasks, row, as_zip: bool):
    if row["status"] != "done":
        return no(f"Task is {row['status']}")
    pictures = tasks.pictures(row)
    if as_zip:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for number, (data, _) in enumerate(pictures):
                archive.writestr(f"{number}.png", data)
        return 200, buffer.getvalue()
    if any(text is None for _, text in pictures):
        return error("AttributeError", "'NoneType' object has no attribute 'encode'")
    encoded = [("data:image/png;base64," + base64.b64encode(data).decode(), text) for data, text in pictures]
    return 200, {"success": True, "data": [{"image": image, "infotext": text} for image, text in encoded]}


def control(webui, request: dict) -> dict:
    """What tests ask of the double itself; answers {} or what was asked for."""
    for name, value in request.get("set", {}).items():
        setattr(webui.settings, name, value)
    if request.get("clear"):
        webui.faults.clear()
    webui.faults.add(request.get("faults", []))
    for path in request.get("files", []):  # somebody else's
        target = Path(webui.loras.root / path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(f"a file of somebody else: {path}".encode())
    for path in request.get("poison", []):
        webui.loras.poison(path)
    if request.get("forget_loras"):  # as a restart does
        webui.loras.listed = {}
    if "paused" in request:
        webui.tasks.paused = request["paused"]
    return {"tasks": [webui.tasks.add({"seed": 1, **each}) for each in request.get("tasks", [])]}


def history(webui) -> dict:
    """GET /_log: all that happened in this process, and what is there now."""
    rows = [{**listed(row), "status": row["status"]} for row in webui.tasks.sql("select * from tasks order by place")]
    log, loras = webui.log, webui.loras
    with log.lock:
        shown = {"requests": log.requests, "uploads": log.uploads, "pictures": log.pictures}
        shown = {name: list(entries) for name, entries in shown.items()}
    now = {"tasks": rows, "files": loras.files(), "listed": sorted(loras.listed), "paused": webui.tasks.paused}
    now["runner"] = webui.tasks.runs()
    return {
        **shown,
        **now,
        "ran_empty": webui.tasks.ran_empty,
        "busy_seconds": log.busy_seconds,
        "root": str(loras.root),
        "overwrite": loras.overwrite,
    }
