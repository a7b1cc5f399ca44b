#!/usr/bin/env bash
# All tests: scripts/test.sh [PYTEST ARGUMENTS]. What is missing is set up first.
#
# Two runs of pytest, kept apart as the engine and QGIS are: tests/engine, tests/model and tests/scripts in an environment
# with torch, tests/plugin in one that sees the system's QGIS. A path among the arguments goes to the run it belongs to.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

everything=true engine_paths=() plugin_paths=() options=()
for argument in "$@"; do
    path=$(realpath -m -- "${argument%%::*}")
    case $path/ in
        "$root"/tests/plugin/*) plugin_paths+=("$path${argument#"${argument%%::*}"}") ;;
        "$root"/tests/?*) engine_paths+=("$path${argument#"${argument%%::*}"}") ;;
        "$root"/tests/) ;; # all of them
        *)
            options+=("$argument")
            continue
            ;;
    esac
    everything=false
done
if ((${#engine_paths[@]} + ${#plugin_paths[@]} == 0)); then
    engine_paths=("$root"/tests/{engine,model,scripts})
    plugin_paths=("$root/tests/plugin")
fi

ensure_system display
ensure_engine >/dev/null
ensure_test_environments
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT

cd "$root"
status=0 collected=false

# run_pytest PYTHON PATH... ; pytest's exit status 5 says that no test was selected, which one of the two runs may say.
run_pytest() {
    local python=$1 result=0
    shift
    "$python" -m pytest "${options[@]}" "$@" || result=$?
    ((result == 5)) && return
    collected=true
    ((result == 0)) || status=$result
}

if $everything; then
    "$engine_tests_python" -m ruff check . || status=1
    "$engine_tests_python" -m ruff format --check . || status=1
    "$engine_tests_python" -m mypy || status=1
fi
((${#engine_paths[@]} == 0)) || run_pytest "$engine_tests_python" "${engine_paths[@]}"
if ((${#plugin_paths[@]} > 0)); then
    use_plugin_profile "$profile"
    run_pytest "$plugin_tests_python" "${plugin_paths[@]}"
fi
if ! $collected && ((status == 0)); then
    status=5
fi
exit "$status"
