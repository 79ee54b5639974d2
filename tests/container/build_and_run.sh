#!/usr/bin/env bash
# Build the image of Dockerfile, and run the workflow in it: root on Debian, with buildah and
# mmdebstrap. The Debian base is made here, so that neither a registry nor a daemon is needed.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot

mmdebstrap --quiet --variant=minbase --include=ca-certificates bookworm "$work/base.tar"
base=$(buildah from scratch)
buildah add --quiet "$base" "$work/base.tar"
buildah commit --quiet --rm "$base" docker.io/library/debian:12-slim

# The build uses this machine's certificates and, where pip is told of any, its indexes and wheels.
lent=(--volume /etc/ssl/certs:/etc/ssl/certs:ro)
for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS; do
  [ -z "${!name:-}" ] || lent+=(--build-arg "$name=${!name}")
  [ ! -d "${!name:-}" ] || lent+=(--volume "${!name}:${!name}:ro")
done
buildah bud --pull-never --format docker "${lent[@]}" --tag prefine .

# As README says for Docker, with a copy of the repository on /work.
mkdir "$work/project"
git ls-files -z | xargs -0 cp --parents --target-directory "$work/project"
container=$(buildah from --pull-never prefine)
buildah run --volume "$work/project:/work" "$container" -- snakemake "${@:-all}" --cores 2 \
  --configfile workflow/presets/tiny.yaml tests/small.yaml
buildah rm "$container" > /dev/null
ls -l "$work/project/results/small/tables"
