#!/usr/bin/env bash
# Builds a small project in a temporary folder and tells its story with dsvc, printing each command before it runs.
# With an argument: in that folder, which must not exist.
set -euo pipefail
exec 2>&1 # one stream, so that a log of this reads in order

here=$(cd "$(dirname "$0")" && pwd)
project=${1:-$(mktemp -d "${TMPDIR:-/tmp}/dsvc-demo.XXXXXX")/bicycles}

unset DSVC_DATE
export DSVC_USER_NAME='Ada Keller' DSVC_USER_EMAIL='ada@example.com'

bold='' dim='' blue='' green='' plain=''
colours=()
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' blue=$'\e[1;34m' green=$'\e[32m' plain=$'\e[0m'
    colours=(--color always)
fi

tell() { # a heading
    printf '\n%s── %s %s\n' "$blue" "$*" "$plain"
}

run() { # print a command as one would type it, and run it
    local line='' word
    for word in "$@"; do
        case $word in
            *[!A-Za-z0-9_./:=~^@-]*) line+=" '$word'" ;;
            *) line+=" $word" ;;
        esac
    done
    printf '\n%s$%s%s%s%s\n' "$green" "$plain" "$bold" "$line" "$plain"
    if [ "$1" = dsvc ]; then
        shift
        dsvc --no-pager ${colours[@]+"${colours[@]}"} "$@"
    else
        "$@"
    fi
}

change() { # FILE FROM TO: replace a text, as an editor would
    printf '\n%s# in %s: %s  ->  %s%s\n' "$dim" "$1" "$2" "$3" "$plain"
    python3 - "$@" <<'END'
import pathlib, sys
path, old, new = pathlib.Path(sys.argv[1]), *sys.argv[2:]
text = path.read_text()
assert old in text, (path, old)
path.write_text(text.replace(old, new))
END
}

cp -R "$here/project" "$project"
cd "$project"

tell 'A project: code, a notebook and settings. One command makes it a repository.'
run ls
run dsvc init
run dsvc commit -m 'How many bicycles will be rented'

tell 'Data and models are files like any other.'
run python3 data/make.py --rows 3000
run python3 train.py
run dsvc status
run dsvc commit -m 'The hours of four months, and a first model'

tell 'An experiment on a branch: more data, a larger model.'
run dsvc switch -c larger
run python3 data/make.py --rows 6000
change params.toml 'features = 48' 'features = 128'
change train.py '"rows": len(rows),' '"rows": len(rows), "features": size,'
run python3 train.py
run dsvc diff --stat
run dsvc commit -m 'Twice the data, a larger model'

tell 'Meanwhile on main a file gets another name.'
run dsvc switch main
run dsvc mv train.py fit.py
change README.md 'python train.py ' 'python fit.py '
run dsvc commit -m 'Say fit, as everybody does'

tell 'The merge brings the change of train.py into fit.py, and data and model along.'
run dsvc merge larger -m 'Take the larger model'
run dsvc diff --stat HEAD~1
run cat metrics.json
run dsvc tag -m 'The first that is good enough' v1.0

tell 'Everything so far.'
run dsvc log --graph --oneline --all

tell 'Each step can be taken back, and taken up again. A merge that was a mistake:'
run dsvc undo
run dsvc undo
run ls
run dsvc redo
run dsvc redo
run dsvc log --oneline -n 1

tell 'And work goes on.'
change explore.ipynb '# When are bicycles rented?' '# When are bicycles rented, and why?'
run dsvc status
run dsvc diff explore.ipynb

printf '\n%sThe project is in %s%s\n' "$bold" "$project" "$plain"
printf 'Go there and look around: dsvc log, dsvc op log, dsvc show v1.0. dsvc itself is %s\n' "$(command -v dsvc)"
