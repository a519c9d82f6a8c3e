#!/bin/sh
# A smaller model from nothing: text, speech, training, export, evaluation.
# Usage: training/run_small.sh [work folder] [minutes of training]   (PYTHON names the interpreter, DIGITS the recordings)
set -eu
cd "$(dirname "$0")/.."
work="${1:-build/training-small}"
minutes="${2:-20}"
python="${PYTHON:-python3}"
"$python" -m training.text --work "$work" --sentences 10000
"$python" -m training.speech --work "$work" --espeak 8000 --flite 2000 ${DIGITS:+--digits "$DIGITS"}
"$python" -m training.train --work "$work" --minutes "$minutes" --state 128 --heads 2
"$python" -m training.export --work "$work"
"$python" -m training.evaluate --work "$work" --limit 60
