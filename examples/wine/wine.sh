#!/usr/bin/env bash
# From raw data to a model on two branches, with all that is known of where it came from.
# Needs dsvc and scikit-learn in the Python on PATH. Works in a new temporary folder, or in the one that is given.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$(mktemp -d)}
mkdir -p "$folder" && cd "$folder"
export DSVC_USER_NAME=${DSVC_USER_NAME:-Ada Keller} DSVC_USER_EMAIL=${DSVC_USER_EMAIL:-ada@example.com}

bold='' plain=''
[ -t 1 ] && bold=$'\033[1m' plain=$'\033[0m'
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
step() { printf '\n$ %s\n' "$*"; "$@"; }

say 'The project: a table that comes with scikit-learn, and four small programs'
dsvc init -q
cp "$here"/{prepare,features,train,evaluate}.py .
mkdir raw
python -c 'import shutil, pathlib, sklearn
shutil.copyfile(pathlib.Path(sklearn.__file__).parent / "datasets/data/wine_data.csv", "raw/wine.csv")'
step dsvc commit -q -m 'Raw data and four programs'

say 'Prepare the data, fit a model, measure it'
step dsvc run -q -- python prepare.py
step dsvc run -q -- python features.py
step dsvc run -q -- python train.py
step dsvc run -q -- python evaluate.py
step dsvc commit -q -m 'Acids alone'

say 'Other features on a branch'
step dsvc switch -q -c colour
step dsvc run -q -- python features.py --colour
step dsvc run -q -- python train.py
step dsvc run -q -- python evaluate.py
step dsvc commit -q -m 'With the colour'

say 'Meanwhile on main; then the better model is merged'
step dsvc switch -q main
echo 'Wines of three growers in one region.' > notes.md
step dsvc commit -q -m 'Say what the data is'
step dsvc merge -q -m 'Take the colour in' colour

say 'What was it made of?'
step dsvc log --graph --oneline
step dsvc runs --best metrics.accuracy --columns short,what,metrics.accuracy
step dsvc lineage scores.json
step dsvc blame-data model.pkl
step dsvc lineage raw/wine.csv --down
dsvc lineage scores.json --format html > lineage.html

say 'And does it hold?'
step dsvc verify scores.json
step dsvc rerun scores.json --check
step dsvc rerun model.pkl --check
printf '\nThe drawing is in %s/lineage.html; %s/deploy.sh %s goes on to a server that is watched\n' "$folder" "$here" "$folder"
