#!/usr/bin/env bash
# Prints the manifests of config/default for one cluster, ready for kubectl apply.
# Usage: manifests.sh IMAGE CLUSTER BUCKET [REPLICAS]; KUBECTL names the kubectl (1.21 or later) that builds them, and CONFIG
# what is built instead of config/default: config/certmanager.
set -euo pipefail
cd "$(dirname "$0")/.."

image=$1 cluster=$2 bucket=$3 replicas=${4:-} config=${CONFIG:-config/default}
fail() {
    echo "error: $*" >&2
    exit 1
}
[[ -n $cluster ]] || fail 'CLUSTER is empty; name this cluster, as no other is named: CLUSTER=east'
[[ -n $bucket ]] || fail 'BUCKET is empty; name the bucket that all clusters share: BUCKET=my-bucket'
[[ $cluster =~ ^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$ ]] || fail "CLUSTER is \"$cluster\"; allowed: letters a-z, digits, - and ."
[[ $bucket =~ ^[a-z0-9][-_a-z0-9.]*$ ]] || fail "BUCKET is \"$bucket\"; allowed: the name of a bucket, without gs://"
# With the surges of both updates they have to fit into config/manager/quota.yaml.
[[ $replicas =~ ^([1-9]|1[0-9]|20)?$ ]] || fail "REPLICAS is \"$replicas\"; allowed: 1 to 20, of controllers and of webhooks each"
[[ -f $config/kustomization.yaml ]] || fail "CONFIG is \"$config\"; allowed: config/default or config/certmanager"

# A colon before the last slash is a registry's port, and no tag.
if [[ $image == *@* ]]; then
    name=${image%%@*} version="digest: \"${image#*@}\""
elif [[ ${image##*/} == *:* ]]; then
    name=${image%:*} version="newTag: \"${image##*:}\""
else
    name=$image version='newTag: latest'
fi

mkdir -p .build
overlay=$(mktemp -d .build/manifests.XXXXXX)
trap 'rm -rf "$overlay"' EXIT
cat >"$overlay/kustomization.yaml" <<END
resources:
  - ../../$config
images:
  - name: leasehold
    newName: "$name"
    $version
configMapGenerator:
  - name: leader-election-config
    namespace: multi-cluster-leader-election-system
    behavior: merge
    literals:
      - LEASEHOLD_CLUSTER=$cluster
      - LEASEHOLD_LEASE_STORAGE_BUCKET=$bucket
END
if [[ -n $replicas ]]; then
    cat >>"$overlay/kustomization.yaml" <<END
replicas:
  - name: leader-election-controller-manager
    count: $replicas
  - name: leader-election-webhook
    count: $replicas
END
fi
"${KUBECTL:-kubectl}" kustomize "$overlay"
