#!/usr/bin/env bash
# Finds a real control plane for tests, kube-apiserver and etcd, and a kubectl to go with it; prints the directory that
# holds what KUBEBUILDER_ASSETS or the machine does not have.
#
# KUBEBUILDER_ASSETS wins when it is set. Else the binaries are kept in the user's cache folder, made there at the first
# call: etcd and kubectl are taken out of Debian's packages, and kube-apiserver, which Debian does not package, is built
# from Debian's source package with Debian's Go. That takes some minutes and 2.5 GB of room for a while. Needs Debian 12,
# but neither root nor any change to the machine: packages are unpacked in the scratch directory, not installed.
set -euo pipefail

version=1.20.2
# Grows with each change of what is built; Tests/Support/ControlPlaneBinaries.swift names it too.
revision=2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/leasehold
assets=$cache/kubernetes-$version-$revision

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "error: $*"
    exit 1
}

if [[ -n ${KUBEBUILDER_ASSETS:-} ]]; then
    for binary in kube-apiserver etcd; do
        [[ -x $KUBEBUILDER_ASSETS/$binary ]] ||
            fail "KUBEBUILDER_ASSETS is $KUBEBUILDER_ASSETS, which has no $binary; name a directory that has it, or unset it"
    done
    printf '%s\n' "$KUBEBUILDER_ASSETS"
    exit 0
fi

# In one step at the end of a build: what is there is whole.
finish_if_there() {
    [[ -x $assets/kube-apiserver ]] || return 0
    printf '%s\n' "$assets"
    exit 0
}
finish_if_there

mkdir -p "$cache"
exec 9>"$cache/lock"
if ! flock -n 9; then
    say "Waits for another process that builds the control plane ..."
    flock 9
    finish_if_there
fi

. /etc/os-release
[[ ${VERSION_CODENAME:-} == bookworm ]] ||
    fail "kube-apiserver is built from the source package of Debian 12, and this is ${PRETTY_NAME:-another system};" \
        "set KUBEBUILDER_ASSETS to a directory with kube-apiserver and etcd"
free=$(df --output=avail -k "$cache" | tail -n 1)
[[ $free -ge 2500000 ]] || fail "$cache has $((free / 1000)) MB left and the build needs 2500; make room, or set XDG_CACHE_HOME"

# Beside the result, so that it moves there in one step. Of killed builds nothing is left for long.
rm -rf "$cache"/scratch.*
work=$(mktemp -d "$cache/scratch.XXXXXX")
log=$cache/build.log
: >"$log"
began=$SECONDS
finish() {
    local code=$?
    # Go's module and build caches are read-only here and there.
    chmod -R u+w "$work" 2>/dev/null || true
    rm -rf "$work"
    [[ $code == 0 ]] || say "error: the control plane could not be made; the last lines of $log say why:"$'\n'"$(tail -n 15 "$log")"
}
trap finish EXIT
trap 'exit 130' INT TERM

step() { say "[$((SECONDS - began)) s] $*"; }
say "Makes a control plane for tests in $assets, once; takes about five minutes on two processors."

# Package lists of its own, of the mirrors that this machine uses, with the source packages; the machine's stay as they are.
step "Reads the package lists"
mkdir -p "$work"/{lists/partial,archives/partial,packages,root,assets}
apt-get indextargets --format '$(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)' | sort -u |
    while read -r kind uri release component; do
        [[ $kind == Packages && $release == bookworm && $component == main ]] || continue
        printf 'deb %s %s main\ndeb-src %s %s main\n' "$uri" "$release" "$uri" "$release"
    done >"$work/sources.list"
[[ -s $work/sources.list ]] || fail "apt has no source for bookworm main; add Debian's mirror to /etc/apt/sources.list.d"
apt=(-qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$work/lists"
    -o Dir::Cache="$work" -o Dir::Cache::Archives="$work/archives" -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3)
apt-get "${apt[@]}" update >>"$log" 2>&1

step "Fetches Kubernetes' source, Go and etcd from Debian"
packages=(golang-1.19-go golang-1.19-src golang-github-modern-go-reflect2-dev etcd-server kubernetes-client)
(
    cd "$work/packages"
    apt-get "${apt[@]}" source --download-only kubernetes
    apt-get "${apt[@]}" download "${packages[@]}"
    for package in *.deb; do dpkg-deb --extract "$package" "$work/root"; done
) >>"$log" 2>&1
tarball=("$work"/packages/kubernetes_*"$version".orig.tar.*)
[[ -f ${tarball[0]} ]] || fail "Debian's source package is of another version than $version: $(ls "$work/packages")"

step "Unpacks the source"
source=$work/go/src/k8s.io/kubernetes
mkdir -p "$source"
tar -xf "${tarball[0]}" -C "$source" --strip-components=1 >>"$log" 2>&1
# The vendored reflect2 1.0.1 crashes when built by Go 1.18 or later; Debian packages 1.0.2, which does not.
reflect2=modern-go/reflect2
rm -f "$source/vendor/github.com/$reflect2"/*.{go,s}
cp "$work/root/usr/share/gocode/src/github.com/$reflect2"/*.{go,s} "$source/vendor/github.com/$reflect2/"
# A comparison of two reflect.Values, which later versions dropped: since Go 1.18 it takes an empty string for null, and
# the server would reject "" in custom resources.
validators=("$source"/vendor/{k8s.io/kube-openapi/pkg/validation,github.com/go-openapi}/validate/type.go)
sed -i 's/data == nil || reflect.DeepEqual(reflect.Zero(reflect.TypeOf(data)), reflect.ValueOf(data)) {/data == nil {/' \
    "${validators[@]}"
[[ $(grep -l 'if data == nil {' "${validators[@]}" | wc -l) == 2 ]] || fail "the validators of custom resources are not those known here"

export GOROOT=$work/root/usr/lib/go-1.19 GOPATH=$work/go GOCACHE=$work/gocache GOTMPDIR=$work
export GO111MODULE=off GOFLAGS='' CGO_ENABLED=0 PATH=$work/root/usr/lib/go-1.19/bin:$PATH
kubernetes=k8s.io/kubernetes
cd "$source"

# The one generated file that the source package lacks: the OpenAPI definitions of all types that ask for them.
step "Generates the OpenAPI definitions"
{
    go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
    types=$(grep -rl --include='*.go' '+k8s:openapi-gen=' pkg staging/src/k8s.io |
        grep -vE '/testdata/|_examples|sample-apiserver|code-generator|kube-openapi' | xargs -n 1 dirname | sort -u |
        sed -e "s#^staging/src/#$kubernetes/vendor/#" -e "s#^pkg/#$kubernetes/pkg/#" | paste -sd ,)
    "$work/openapi-gen" --input-dirs "$types" --output-package $kubernetes/pkg/generated/openapi \
        --output-file-base zz_generated.openapi --go-header-file hack/boilerplate/boilerplate.generatego.txt \
        --report-filename "$work/violations" --output-base "$work/go/src"
} >>"$log" 2>&1

step "Compiles kube-apiserver (most of the time)"
stamp=$kubernetes/vendor/k8s.io/component-base/version
go build -o "$work/assets/kube-apiserver" \
    -ldflags "-s -w -X $stamp.gitVersion=v$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=20" \
    $kubernetes/cmd/kube-apiserver >>"$log" 2>&1

cp "$work/root/usr/bin/etcd" "$work/root/usr/bin/kubectl" "$work/assets/"
[[ $("$work/assets/kube-apiserver" --version 2>>"$log") == "Kubernetes v$version" ]] ||
    fail "the kube-apiserver just built does not start"
rm -rf "$assets"
mv "$work/assets" "$assets"
step "Done"
printf '%s\n' "$assets"
