#!/bin/bash
#SBATCH --job-name=000-a/attempt-1@ae8f763b
#SBATCH --output="/shared/50%% done/p/000-a/slurm-%j.out"
#SBATCH --open-mode=append
#SBATCH --export=ALL
#SBATCH --partition=gpu
#SBATCH --comment="it is \"mine\""
#SBATCH --time=8:00:00
#SBATCH --gres=gpu:1
#SBATCH --requeue
#SBATCH --signal=B:USR1@120

export PYTHONUNBUFFERED=1
set -- '/shared/50% done/p/000-a/attempt-1' /shared/venv/bin/python /home/me/loras /shared/venv/bin/python train.py --prompt 'a '"'"'boat'"'"'' $'two\012lines'

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
