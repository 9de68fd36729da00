#!/usr/bin/env bash
# Lays out the image's file system: the binary, the libraries that it loads, and the few files that those read. No shell and
# no package manager. Says how large it is.
# Usage: image-root.sh BINARY DIRECTORY; DIRECTORY is made anew. Needs Debian, as the libraries are this machine's, but no
# root: whoever copies it into an image gives it to root.
set -euo pipefail

binary=$1 root=$2
fail() {
    echo "error: $*" >&2
    exit 1
}
[[ -x $binary ]] || fail "$binary is no program; build it first: make build"
[[ ! -e $root || -e $root/usr/local/bin/leasehold ]] || fail "$root is there and no image of an earlier call; remove it"
rm -rf "$root"
umask 022

# As Debian has them since all of /lib is in /usr/lib.
mkdir -p "$root"/{etc/ssl/certs,tmp,usr/lib,usr/lib64,usr/lib/ssl,usr/local/bin,var/lib/dpkg/status.d}
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
chmod 1777 "$root/tmp"
strip -o "$root/usr/local/bin/leasehold" "$binary"

# What the loader finds, itself included, each under the name by which it is asked for; and libcurl, which the binary loads
# when it uses it, with what that needs. The C library resolves names without further modules (since 2.34), and nothing else
# of these is loaded later.
curl=$(PATH=$PATH:/sbin ldconfig -p | awk '$1 == "libcurl.so.4" && !seen++ { print $NF }')
[[ -n $curl ]] || fail "libcurl.so.4 is not installed; apt-get install libcurl4"
libraries=$(ldd "$binary" "$curl")$'\n'"libcurl.so.4 => $curl"
[[ $libraries != *'not found'* ]] || fail "$binary needs libraries that are not there: $(grep 'not found' <<<"$libraries")"
files=()
while read -r library; do
    directory=$(realpath "$(dirname "$library")")
    mkdir -p "$root$directory"
    cp -L "$library" "$root$directory/"
    files+=("$(realpath "$library")")
done < <(awk '$2 == "=>" { print $3 } $1 ~ /^\// && $1 !~ /:$/ { print $1 }' <<<"$libraries" | sort -u)

# Debian's authorities, and not those that somebody has added to this machine.
cat /usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
cp /etc/ssl/openssl.cnf "$root/etc/ssl/openssl.cnf"
ln -s /etc/ssl/certs "$root/usr/lib/ssl/certs"
ln -s /etc/ssl/certs/ca-certificates.crt "$root/usr/lib/ssl/cert.pem"
ln -s /etc/ssl/openssl.cnf "$root/usr/lib/ssl/openssl.cnf"
cp -L /etc/os-release "$root/etc/os-release"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
printf '%s\n' root:x:0:0:root:/:/ leasehold:x:65532:65532:leasehold:/:/ >"$root/etc/passwd"
printf '%s\n' root:x:0: leasehold:x:65532: >"$root/etc/group"

# Where scanners look for what is installed, and what is to be said of each package.
packages=$(
    for file in "${files[@]}" /usr/share/ca-certificates/mozilla; do
        # Of Swift's own libraries, when they are not in the binary, no package tells.
        dpkg-query --search "$file" "${file#/usr}" 2>/dev/null | sed 's/:.*//; s/,.*//' || true
    done | sort -u
)
for package in $packages; do
    dpkg-query --status "$package" >"$root/var/lib/dpkg/status.d/$package"
    mkdir -p "$root/usr/share/doc/$package"
    cp -L "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
done

size() { du --summarize --apparent-size --bytes --total "$@" | tail -n 1 | awk '{ printf "%.1f MB", $1 / 1e6 }'; }
echo "binary       $(size "$root/usr/local/bin/leasehold")"
echo "libraries    $(size "$root"/usr/lib*/), of $(wc -w <<<"$packages") packages"
echo "authorities  $(size "$root/etc/ssl")"
echo "all          $(size "$root") in $root"
