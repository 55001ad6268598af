"""The batch script of a run, as text.

Covers: its #SBATCH lines, and the program that is the same for all attempts: it begins the attempt, or hands over to
`training.next_attempt` when Slurm has started the job again. Not: submitting it (`slurm`), what the options mean
(`slurm_options`).
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable
from typing import NoReturn

from ..records import Launch
from ..store.layout import AttemptFolder
from .slurm_options import options
from .slurm_queue import job_name

# A fixed program: every value reaches it as an argument. The file of the exit code is made by whoever begins the
# attempt, and only once: a job that Slurm starts again finds it, and goes on in a new attempt.
# Slurm sends SIGTERM (scancel, preemption, time limit) to every process of the job; SIGUSR1, before the time limit, to
# the script alone, which passes it on to the trainer's group. A trainer that has not ended a minute later is ended.
# The traps run while the shell waits, so `wait` is repeated until the trainer has ended; a signal that has reached both
# is seen a moment later than the trainer's end. What is left of the group then is ended, too. Where the time limit has
# ended a trainer that has saved a state, the job is put back into the queue.
PROGRAM = """\
attempt=$1 python=$2 folder=$3; shift 3
set -Cm
if ! { exec 3>"$attempt/exit_code"; } 2>/dev/null; then
  cd -- "$attempt" && exec "$python" -m automate_train.training.next_attempt
  exit 1
fi
set +C
echo "attempt ${attempt##*/attempt-}"
echo "$SLURM_JOB_ID" >"$attempt/slurm_job"
exec >>"$attempt/console.log" 2>&1
trap 'caught=1; echo TERM >"$attempt/interrupted"' TERM
trap 'caught=1; echo USR1 >"$attempt/interrupted"; echo "automate-train: the time limit of Slurm is near"
  kill -USR1 -- "-$trainer"; { sleep 60; kill -TERM -- "-$trainer"; } 3>&- & timer=$!' USR1
if cd -- "$folder"; then
  "$@" 3>&- </dev/null &
  trainer=$!
  {
    while caught=; wait "$trainer"; last=$?; [ "$code" ] && [ $last = 127 ] || code=$last; [ "$caught" ]; do :; done
    sleep 0.1
    while [ -e "$attempt/interrupted" ] && kill -0 -- "-$trainer"; do sleep 0.2; done
    kill -TERM -- "-$trainer" && sleep 2 && kill -KILL -- "-$trainer"
    [ "$timer" ] && kill -- "-$timer"
  } 2>/dev/null
fi
code=${code:-1}
echo $code >&3
if [ "$(cat "$attempt/interrupted" 2>/dev/null)" = USR1 ]; then
  (cd -- "$attempt" && "$python" -m automate_train.training.next_attempt --can) && scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
"""
IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def script(launch: Launch, attempt: AttemptFolder) -> str:
    """All of it. What Slurm cannot take is told by `slurm_options.problems` before."""
    return "\n".join([*head(launch, attempt), "", *arguments(launch, attempt), "", PROGRAM])


def head(launch: Launch, attempt: AttemptFolder) -> Iterable[str]:
    """The first lines: what sbatch reads."""
    output = os.path.join(attempt.path.parent, "slurm-").replace("%", "%%") + "%j.out"
    ours = (f"--job-name={job_name(attempt)}", f"--output={output}", "--open-mode=append", "--export=ALL")
    yield "#!/bin/bash"
    for option in (*ours, *options(launch.slurm, launch.gpus)):
        yield f"#SBATCH {_in_header(option)}"


def arguments(launch: Launch, attempt: AttemptFolder) -> Iterable[str]:
    """The lines that set what PROGRAM starts."""
    for name, value in launch.env.items():
        if IDENTIFIER.fullmatch(name):
            yield f"export {name}={quote(value)}"
    yield f"set -- {' '.join(map(quote, _words(launch, attempt)))}"


def become(launch: Launch, attempt: AttemptFolder) -> NoReturn:
    """Make this process the attempt's shell, in the job that it belongs to."""
    words = ("bash", "-c", PROGRAM, "bash", *_words(launch, attempt))
    os.execve("/bin/bash", words, {**os.environ, **launch.env})


def _words(launch: Launch, attempt: AttemptFolder) -> tuple[str, ...]:
    return (str(attempt.path), sys.executable, launch.cwd, *launch.argv)


def quote(text: str) -> str:
    """A word of the shell. sbatch refuses a script with the line ends of DOS, so control characters are spelled."""
    if not re.search(r"[\x00-\x1f\x7f]", text):
        return shlex.quote(text)
    spelled = text.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\{ord(match[0]):03o}", spelled) + "'"


def _in_header(option: str) -> str:
    """sbatch takes an option's value up to a space, unless it is quoted."""
    if not re.search(r"[\s\"'\\#]", option):
        return option
    name, equals, value = option.partition("=")
    return f'{name}{equals}"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
