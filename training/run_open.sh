#!/bin/sh
# Open vocabulary: a closed-domain model grows, and learns the sentences of the given files beside its own.
# Usage: training/run_open.sh WORK_FOLDER_OF_THE_CLOSED_MODEL NEW_WORK_FOLDER SENTENCE_FILE...
# (PYTHON names the interpreter, DIGITS the recordings, SENTENCES of the closed domain,
# ESPEAK and FLITE how many clips, STEPS how long; start it again to go on after a break)
set -eu
cd "$(dirname "$0")/.."
closed="$1"
work="$2"
shift 2
python="${PYTHON:-python3}"
"$python" -m training.text --work "$work" --sentences "${SENTENCES:-80000}" --vocabulary 2000 --open "$@"
"$python" -m training.speech --work "$work" --espeak "${ESPEAK:-100000}" --flite "${FLITE:-100000}" ${DIGITS:+--digits "$DIGITS"}
[ -e "$work/checkpoint.pt" ] || "$python" -m training.grow --of "$closed" --work "$work"
"$python" -m training.train --work "$work" --curriculum grown --steps "${STEPS:-20000}" --keep 500
"$python" -m training.export --work "$work" --last 8
"$python" -m training.evaluate --work "$work"
