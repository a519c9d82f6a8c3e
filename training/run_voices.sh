#!/bin/sh
# Further voices: an exported model goes on learning from voices that say the same at the same time, from all others, and
# from the given files' sentences; out comes the mean of what it knew and what it learned.
# Usage: training/run_voices.sh EXPORTED_MODEL NEW_WORK_FOLDER SENTENCE_FILE...
# (PYTHON names the interpreter, DIGITS the recordings, WOVEN how many of its sentences are made of the given ones,
# ESPEAK, FLITE and PARALLEL how many clips or sentences, STEPS how long; start it again to go on after a break)
set -eu
cd "$(dirname "$0")/.."
model="$1"
work="$2"
shift 2
python="${PYTHON:-python3}"
[ -e "$work/train.txt" ] || "$python" -m training.text --work "$work" --sentences 80000 --vocabulary 2000 \
  --woven "${WOVEN:-60000}" --open "$@"
"$python" -m training.speech --work "$work" --espeak "${ESPEAK:-20000}" --flite "${FLITE:-6000}" \
  --parallel "${PARALLEL:-6000}" ${DIGITS:+--digits "$DIGITS"}
if [ ! -e "$work/adopted.pt" ]; then
  "$python" -m training.adopt --model "$model" --work "$work"
  cp "$work/checkpoint.pt" "$work/adopted.part"
  mv "$work/adopted.part" "$work/adopted.pt"
fi
"$python" -m training.train --work "$work" --curriculum adopted --teacher "$model" \
  --steps "${STEPS:-2000}" --rate 8e-4 --positions 4800
"$python" -m training.export --work "$work" --checkpoints "$work/adopted.pt" "$work/checkpoint.pt"
"$python" -m training.evaluate --work "$work"
