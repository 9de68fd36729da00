#!/usr/bin/env bash
# Installs the Debian packages named as arguments, those that are missing. Asks for nothing when all are there.
set -euo pipefail

missing=()
for package in "$@"; do
    [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) == "install ok installed" ]] || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

root=()
if [[ $EUID -ne 0 ]]; then
    command -v sudo >/dev/null || {
        echo "error: needs ${missing[*]}; run as root: apt-get install ${missing[*]}" >&2
        exit 1
    }
    root=(sudo)
fi
echo "Installing ${missing[*]} ..." >&2
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
