"""A Stable Diffusion WebUI with model uploader and agent scheduler, as a client meets them; a real HTTP server.

    python tests/fakes/fake_webui --state DIR --port 0        prints {"port": 12345} and serves until it is killed
It keeps in DIR what a real one keeps on disk (LoRA files, queue database, hash cache, pictures): kill it and start it
again; its LoRA list, pause and overwrite switch are lost then. Switches are flags at the start and
`POST /_control {"set": {"seconds": 0.1}}` later; faults see faults.py; `GET /_log` tells what happened.
"""

import argparse
import json
from dataclasses import fields
from pathlib import Path

from server import serve
from settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state", type=Path, required=True)
    for each in fields(Settings):
        flag = f"--{each.name.replace('_', '-')}"
        if isinstance(each.default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=each.default)
        else:
            parser.add_argument(flag, type=type(each.default), default=each.default)
    given = vars(parser.parse_args())
    port, home = given.pop("port"), given.pop("state")
    serve(home, port, Settings(**given), lambda bound: print(json.dumps({"port": bound}), flush=True))


main()
