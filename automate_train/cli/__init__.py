"""The command line: one module a command, named as it is typed; `run` is the sweep, which has no name.

Covers: which commands there are. Importing this costs nothing, because `--version` and `--help` must be quick.
"""

COMMANDS = {
    "status": ("DIR [--watch]", "the state of a sweep, from any terminal (--json: one object)"),
    "stop": ("DIR [--now]", "start nothing more; --now: end what runs"),
    "logs": ("DIR RUN [-f]", "the console of a run's trainer; -f: until the run has ended"),
    "retry": ("DIR [RUN...]", "run failed and lost runs again"),
    "report": ("DIR", "the comparison page: pictures, curves, table (report.html)"),
    "grid": ("DIR --x K --y K -o F", "a labelled picture of sample pictures by two keys"),
    "best": ("DIR", "which setting is best, why, how sure; its settings as a new default config"),
    "compare": ("FILE.csv", "which setting is better, and how sure that is, of any table of scores"),
    "sample": ("DIR", "sample pictures that are missing, or of new prompts, on a WebUI"),
    "vote": ("DIR", "choose between pictures without knowing which is which (votes.jsonl)"),
    "judge": ("DIR", "measure checkpoints on the held-out pictures (scores.jsonl)"),
    "args": ("REPO_DIR [SCRIPT]", "what a trainer accepts; `args REPO_DIR lr` searches"),
    "keys": ("[WORD]", "what the keys of the config files mean; `keys lr` searches"),
}
"""Name -> its arguments, and what it does."""
