# shellcheck shell=bash disable=SC2016
# (apt-get indextargets has $(FIELDS) of its own)
# What the scripts share: find or install QGIS and Python, make the environments. Sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
user_folder=${XDG_DATA_HOME:-$HOME/.local/share}/rock-glacier-mapper # as engine/places.py has it on Linux
oldest_qgis=3.40

export QT_QPA_PLATFORM=${QT_QPA_PLATFORM:-offscreen}
[[ ${LC_ALL:-${LC_CTYPE:-${LANG:-}}} == *[Uu][Tt][Ff]* ]] || export LC_ALL=C.UTF-8
unset PYTHONHOME PYTHONPATH PROJ_DATA PROJ_LIB GDAL_DATA

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "Error: $*"
    exit 1
}

# The first Python from 3.11 on that can make virtual environments; the system's own first: it stays when others go.
find_python() {
    local candidate
    for candidate in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -I -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# The Python that imports QGIS.
find_qgis_python() {
    local candidate
    for candidate in /usr/bin/python3 python3; do
        if "$candidate" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("qgis") is None)' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

qgis_version() { qgis_process --version 2>/dev/null | sed -n 's/^QGIS \([0-9]*\.[0-9]*\).*/\1/p'; }

qgis_is_ready() {
    local version
    version=$(qgis_version) && [[ -n $version ]] &&
        printf '%s\n' "$oldest_qgis" "$version" | sort -V -C && find_qgis_python >/dev/null
}

# ensure_system headless|display: QGIS, a Python that makes environments and, where asked for, a virtual display.
ensure_system() {
    local packages=() version
    if ! qgis_is_ready; then
        version=$(qgis_version || true)
        [[ -z $version ]] || say "The QGIS on this machine ($version) is too old or lacks its Python: $oldest_qgis or later is needed."
        packages+=(qgis python3-qgis qgis-providers)
    fi
    find_python >/dev/null || packages+=(python3-venv)
    if [[ $1 == display ]]; then
        command -v Xvfb >/dev/null || packages+=(xvfb)
        command -v xauth >/dev/null || packages+=(xauth)
    fi
    ((${#packages[@]} == 0)) && return
    command -v apt-get >/dev/null ||
        fail "this machine needs ${packages[*]} (QGIS $oldest_qgis or later, see qgis.org) and has no apt-get to install them with. Install them and start again."
    install_packages "${packages[@]}"
    qgis_is_ready || fail "QGIS $oldest_qgis or later is still not there. Install it as qgis.org describes for this system, then start again."
    find_python >/dev/null || fail "this system's Python is older than 3.11. Install Python 3.11 or later, then start again."
}

# install_packages NAME...: from the distribution; where its QGIS is too old, from its backports or from qgis.org.
install_packages() {
    local name version_id codename suite='' commands='' log
    # shellcheck disable=SC1091
    read -r name version_id codename < <(. /etc/os-release && echo "$ID" "${VERSION_ID:-0}" "${UBUNTU_CODENAME:-${VERSION_CODENAME:-none}}")
    if [[ " $* " == *' qgis '* ]]; then
        case $name:$version_id in
            debian:12)
                suite=bookworm-backports
                commands=$(backports_commands "$codename")
                ;;
            debian:*) ;;
            *) [[ $codename != jammy && $codename != noble ]] || commands=$(qgis_org_commands "$codename") ;;
        esac
    fi
    commands="export DEBIAN_FRONTEND=noninteractive
$commands
apt-get -q update
apt-get -q -y -o DPkg::Lock::Timeout=600 --no-install-recommends ${suite:+-t $suite }install $*"
    get_consent "$commands"
    log=$(mktemp)
    say "Installing $* with apt$([[ " $* " != *' qgis '* ]] || echo ' (QGIS and what it needs: some 500 MB to download)') ..."
    if ! run_as_root bash -ec "$commands" >"$log" 2>&1 </dev/null; then
        tail -n 15 "$log" >&2
        fail "apt could not install $*. The whole log: $log"
    fi
    rm -f "$log"
}

# Debian's backports, from the mirror and with the keyring that this machine's own apt sources name.
backports_commands() {
    local component uri source keyring
    if apt-get indextargets --format '$(RELEASE)' 'Created-By: Packages' | grep -qx "$1-backports"; then
        return
    fi
    read -r _ component uri source < <(
        apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI) $(SOURCESENTRY)' 'Created-By: Packages' |
            awk -v codename="$1" '$2 == "main" && ($1 == codename || $1 == "stable" || $1 == "oldstable" || $1 == "oldoldstable")'
    ) || fail "apt has no source for Debian $1 from which the address of its backports could be taken. Install QGIS $oldest_qgis or later by hand."
    keyring=$(keyring_of "${source%:*}" "$uri")
    printf 'printf "%%s\\n" "Types: deb" "URIs: %s" "Suites: %s-backports" "Components: %s"%s > /etc/apt/sources.list.d/%s-backports.sources\n' \
        "$uri" "$1" "$component" "${keyring:+ \"Signed-By: $keyring\"}" "$1"
}

# keyring_of FILE URI: the file that the source's Signed-By names, in either of apt's formats; nothing when it names none.
keyring_of() {
    if [[ $1 == *.sources ]]; then
        awk -v RS= -v uri="${2%/}" 'index($0, uri) && match($0, /Signed-By:[ \t]*\/[^ \t\n]+/) {
            text = substr($0, RSTART, RLENGTH); sub(/^Signed-By:[ \t]*/, "", text); print text; exit }' "$1"
    else
        sed -n "\|^deb .*${2%/}|s/.*signed-by=\([^] ,]*\).*/\1/p" "$1" | head -n 1
    fi
}

# QGIS's own repository, long-term release: Ubuntu 22.04 and 24.04 carry a QGIS that is too old.
qgis_org_commands() {
    cat <<COMMANDS
apt-get -q update
apt-get -q -y -o DPkg::Lock::Timeout=600 --no-install-recommends install ca-certificates
install -d -m 755 /etc/apt/keyrings
/usr/lib/apt/apt-helper download-file https://download.qgis.org/downloads/qgis-archive-keyring.gpg /etc/apt/keyrings/qgis-archive-keyring.gpg
chmod 644 /etc/apt/keyrings/qgis-archive-keyring.gpg
printf "%s\n" "Types: deb" "URIs: https://qgis.org/ubuntu-ltr" "Suites: $1" "Components: main" "Signed-By: /etc/apt/keyrings/qgis-archive-keyring.gpg" > /etc/apt/sources.list.d/qgis.sources
COMMANDS
}

# get_consent COMMANDS: ask the person at the terminal before anything is done with sudo, or a foreign repository is added.
get_consent() {
    local answer
    if ((EUID == 0)) && [[ $1 != *qgis.org* || ! -t 0 ]]; then
        [[ $1 != *qgis.org* ]] || say "This system's QGIS is older than $oldest_qgis: QGIS's own repository, qgis.org, is added to apt's sources."
        return
    fi
    say "QGIS $oldest_qgis or later and what these scripts need are not all there. They can be installed with these commands, as root:"
    say ""
    say "$1"
    say ""
    [[ -t 0 ]] || fail "there is no terminal to ask at. Run these commands as root, then start again."
    ((EUID == 0)) || command -v sudo >/dev/null || fail "there is no sudo here. Run these commands as root, then start again."
    read -r -p "Run them now? [y/N] " answer
    [[ $answer == [yY]* ]] || fail "nothing was installed."
}

run_as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# The path of the engine's Python on standard output; installs the engine first where it is missing or out of date.
ensure_engine() {
    local python
    python=$(find_python) || fail "Python 3.11 or later with venv is needed (on Debian and Ubuntu: sudo apt-get install python3-venv)."
    "$python" "$root/engine/environment.py"
}

# use_plugin_profile FOLDER: a QGIS profile of its own in FOLDER, with the plugin of this checkout enabled.
use_plugin_profile() {
    export QGIS_CUSTOM_CONFIG_PATH=$1
    local plugins=$1/profiles/default/python/plugins
    mkdir -p "$plugins"
    ln -sfn "$root" "$plugins/rock_glacier_mapper"
    if [[ -z ${XDG_RUNTIME_DIR:-} ]]; then
        export XDG_RUNTIME_DIR=$1/runtime
        mkdir "$XDG_RUNTIME_DIR"
        chmod 700 "$XDG_RUNTIME_DIR"
    fi
    local said
    said=$(qgis_process plugins enable rock_glacier_mapper 2>&1) || fail "QGIS could not load the plugin: $said"
}

# ensure_test_environments: two, kept apart as the engine and QGIS are; engine_tests_python and plugin_tests_python are set.
# shellcheck disable=SC2034
ensure_test_environments() {
    local numpy
    engine_tests_python=$("$(find_python)" "$root/engine/environment.py" --cuda no \
        --folder "$user_folder/tests-engine" --requirements "$root/requirements/tests.txt")
    plugin_tests_python=$("$(find_qgis_python)" "$root/engine/environment.py" --cuda no --system-site-packages \
        --folder "$user_folder/tests-plugin" --requirements "$root/requirements/plugin-tests.txt")
    numpy=$("$plugin_tests_python" -c 'import numpy; print(numpy.__file__)')
    [[ $numpy != "$user_folder"/* ]] ||
        fail "requirements/plugin-tests.txt brought a numpy of its own ($numpy), which QGIS cannot use. Take out what asks for it."
}
