#!/usr/bin/env bash
# From a scene to rock glacier outlines, through QGIS: scripts/demo.sh [SCENE [OUTPUT_FOLDER]]
#
# SCENE is a raster with the bands red, green, blue, near-infrared (any common sensor or reflectance); without it, the
# simulated landscape that ships with the plugin. OUTPUT_FOLDER is ./demo-output unless given; it gets stack.tif,
# probability.tif, tile_polygons.gpkg, outlines.gpkg and map.png. What is missing is set up first: QGIS from the
# distribution, the engine in an environment of its own.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [[ ${1:-} == -h || ${1:-} == --help || $# -gt 2 ]]; then
    sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    [[ $# -le 2 ]] && exit 0 || exit 2
fi

sample=$root/resources/sample
scene=${1:-$sample/sample_scene.tif}
folder=${2:-demo-output}
[[ -e $scene ]] || fail "there is no file $scene."

ensure_system headless
ensure_engine >/dev/null
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
use_plugin_profile "$profile"

version=$(sed -n 's/^version=//p' "$root/metadata.txt")
if [[ $scene -ef $sample/sample_scene.tif ]]; then
    about=(
        --title "Rock glaciers in a simulated mountain landscape"
        --source "Simulated scene: not a real place. Outlines found by Rock Glacier Mapper $version and its bundled model; dashed: manual outlines, simulated too."
        --permafrost "$sample/sample_permafrost.tif" --dem "$sample/sample_dem.tif"
        --manual "$sample/sample_outlines.gpkg" --manual-name "Manual outlines (simulated)"
    )
else
    about=(
        --title "Rock glacier outlines, $(basename "$scene")"
        --source "Outlines found by Rock Glacier Mapper $version and its bundled model: not yet reviewed by a person."
    )
fi
"$(find_qgis_python)" "$root/scripts/demo_chain.py" "$scene" "$folder" "${about[@]}"
