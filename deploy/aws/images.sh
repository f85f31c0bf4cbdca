#!/usr/bin/env bash
# Builds the images of the services, and with --push puts them into ECR for amd64 and arm64.
#
# usage: deploy/aws/images.sh [--push] [OPTION...] [SERVICE...]
#   SERVICE               gateway, auth, chunker, transcriber, provision; without one: all
#   --push                push to the registry; else images are built for this machine alone and stay here
#   --registry HOST       ACCOUNT.dkr.ecr.REGION.amazonaws.com, in China with .cn at its end; without it
#                         that of the AWS command line's account and region
#   --prefix NAME         repositories are NAME-gateway and so on (whisper-webui)
#   --tag TAG             tag of all images (VERSION-REVISION, as in 0.1.0-0123456789ab)
#   --platforms LIST      to push (linux/amd64,linux/arm64)
#   --base-registry HOST  registry that stands for docker.io where Docker Hub cannot be reached, as in China; it has
#                         library/python and, for --mirror, library/nats (BASE_REGISTRY)
#   --pip-index URL       package index (PIP_INDEX_URL)
#   --debian-mirror URL   such as https://mirrors.example.com/debian (DEBIAN_MIRROR)
#   --mirror              copy the images of others that the chart needs, nats and its reloader, into the registry
#                         too, and make their repositories; done by itself with --push to a registry in China
#   --allow-dirty         push although there are changes that are not committed
#   --dry-run             print what would be run, and run none of it
#   --help
#
# Exit codes: 0 done, 1 something failed, 2 something is missing here, 64 wrong usage.

set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$(dirname "${BASH_SOURCE[0]}")/third_parties.sh"
ALL=(gateway auth chunker transcriber provision)
PUSH='' REGISTRY='' PREFIX=whisper-webui TAG='' PLATFORMS=linux/amd64,linux/arm64 MIRROR='' ALLOW_DIRTY='' DRY_RUN=''
BASE_REGISTRY=${BASE_REGISTRY:-} PIP_INDEX_URL=${PIP_INDEX_URL:-} DEBIAN_MIRROR=${DEBIAN_MIRROR:-}
SERVICES=() SIZES=()
export AWS_PAGER=""

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $1"; exit "${2:-1}"; }
wrong() { say "error: $*"; say "images.sh --help tells what there is"; exit 64; }

# run COMMAND...: what changes something; a dry run shows it instead.
run() {
  if [ -n "$DRY_RUN" ]; then printf '%q ' "$@"; printf '\n'; else "$@"; fi
}

read_options() {
  local given
  while [ $# -gt 0 ]; do
    case $1 in
      --help) sed -n '2,/^$/{s/^# \{0,1\}//p}' "$0"; exit 0 ;;
      --push) PUSH=yes ;;
      --mirror) MIRROR=yes ;;
      --allow-dirty) ALLOW_DIRTY=yes ;;
      --dry-run) DRY_RUN=yes ;;
      --registry | --prefix | --tag | --platforms | --base-registry | --pip-index | --debian-mirror)
        given=${2:-}
        [ -n "$given" ] || wrong "$1 needs a value"
        case $1 in
          --registry) REGISTRY=$given ;;
          --prefix) PREFIX=$given ;;
          --tag) TAG=$given ;;
          --platforms) PLATFORMS=$given ;;
          --base-registry) BASE_REGISTRY=$given ;;
          --pip-index) PIP_INDEX_URL=$given ;;
          --debian-mirror) DEBIAN_MIRROR=$given ;;
        esac
        shift ;;
      -*) wrong "$1 is no option" ;;
      *)
        [[ " ${ALL[*]} " == *" $1 "* ]] || wrong "$1 is none of ${ALL[*]}"
        SERVICES+=("$1") ;;
    esac
    shift
  done
  if [ ${#SERVICES[@]} -eq 0 ]; then SERVICES=("${ALL[@]}"); fi
}

# What is built: revision, version, tag. A tag says which commit it is, so it must be one.
identify() {
  REVISION=$(git -C "$ROOT" rev-parse HEAD 2>/dev/null) || fail "$ROOT is no git repository, so there is no revision to name" 2
  VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/pyproject.toml" | head -n 1)
  CREATED=$(git -C "$ROOT" log -1 --format=%cI HEAD)
  SOURCE=$(git -C "$ROOT" remote get-url origin 2>/dev/null | sed 's#://[^@/]*@#://#' || true)
  if [ -n "$(git -C "$ROOT" status --porcelain)" ]; then
    if [ -n "$PUSH" ] && [ -z "$ALLOW_DIRTY" ]; then
      fail "there are changes that are not committed, and the images would be named after $REVISION. Commit them, or give --allow-dirty" 2
    fi
    REVISION+=-dirty
  fi
  TAG=${TAG:-$VERSION-${REVISION:0:12}${REVISION:40}}
  [[ $TAG =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || wrong "--tag $TAG is no tag: letters, digits, dots, hyphens and underscores"
}

find_builder() {
  local builder
  for builder in docker podman; do
    if command -v "$builder" >/dev/null; then BUILDER=$builder && break; fi
  done
  [ -n "${BUILDER:-}" ] || fail "neither docker nor podman is on PATH; install one of them" 2
  if [ "$BUILDER" = docker ]; then
    docker buildx version >/dev/null 2>&1 || fail "docker has no buildx, which builds for several platforms: https://docs.docker.com/go/buildx/" 2
    docker info >/dev/null 2>&1 || fail "the Docker daemon cannot be reached: start it, or add yourself to the group docker" 2
  fi
}

find_registry() {
  local account region suffix=
  command -v aws >/dev/null || fail "the AWS command line (aws) is not on PATH; install version 2" 2
  if [ -z "$REGISTRY" ]; then
    account=$(aws sts get-caller-identity --query Account --output text) \
      || fail "AWS does not know who you are: log in (aws configure, aws sso login), or set AWS_PROFILE" 2
    region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
    [ -n "$region" ] || fail "no region: set AWS_REGION, or give --registry" 2
    case $region in cn-*) suffix=.cn ;; esac
    REGISTRY=$account.dkr.ecr.$region.amazonaws.com$suffix
  fi
  [[ $REGISTRY =~ ^[0-9]{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?$ ]] \
    || wrong "--registry $REGISTRY is not ACCOUNT.dkr.ecr.REGION.amazonaws.com, in China with .cn at its end"
  REGION=${BASH_REMATCH[1]}
  case $REGION${BASH_REMATCH[2]} in
    cn-*.cn) MIRROR=yes ;;
    cn-* | *.cn) wrong "--registry $REGISTRY: registries of China end in .cn, and no others do" ;;
  esac
}

log_in() {
  local password
  if [ -n "$DRY_RUN" ]; then
    say "would log in to $REGISTRY"
    return
  fi
  password=$(aws ecr get-login-password --region "$REGION") \
    || fail "ECR gives no login for $REGISTRY: the rights ecr:GetAuthorizationToken and credentials of that partition are needed" 2
  "$BUILDER" login --username AWS --password-stdin "$REGISTRY" <<<"$password" >&2
}

# in_ecr REPOSITORY TAG: whether it is there. A repository that is not there is an error, with the way to make it.
in_ecr() {
  local said
  if said=$(aws ecr describe-images --region "$REGION" --repository-name "$1" --image-ids "imageTag=$2" 2>&1 >/dev/null); then
    return 0
  fi
  case $said in
    *ImageNotFoundException*) return 1 ;;
    *RepositoryNotFoundException*)
      fail "ECR has no repository $1 in $REGION: deploy/aws/up makes it (cloudformation/app.yaml), or: aws ecr create-repository --region $REGION --repository-name $1" ;;
    *) fail "ECR was asked for $1:$2 and said: $said" ;;
  esac
}

# The base image by digest, so that all images are built on the very same one, whatever its tag means tomorrow.
find_base() {
  local digest=
  BASE=${BASE_REGISTRY:-docker.io}/library/$(sed -n 's/^ARG BASE_IMAGE=//p' "$ROOT/Dockerfile")
  if [ -n "$DRY_RUN" ]; then return; fi
  if [ "$BUILDER" = docker ]; then
    digest=$(docker buildx imagetools inspect "$BASE" --format '{{.Manifest.Digest}}') \
      || fail "$BASE cannot be found: where Docker Hub is out of reach, give --base-registry"
  elif command -v skopeo >/dev/null; then
    digest=$(skopeo inspect --no-tags --raw "docker://$BASE" | sha256sum | sed 's/^\([0-9a-f]*\).*/sha256:\1/') \
      || fail "$BASE cannot be found: where Docker Hub is out of reach, give --base-registry"
  else
    say "warning: without skopeo the digest of $BASE is not known; its tag is used"
  fi
  if [ -n "$digest" ]; then BASE=$BASE@$digest; fi
  say "built on $BASE"
}

build() {
  local name=$1 image=$2 argument
  local -a arguments=()
  for argument in "SERVICE=$name" "BASE_IMAGE=$BASE" "SOURCE=$SOURCE" "REVISION=$REVISION" "VERSION=$VERSION" "CREATED=$CREATED" \
    "PIP_INDEX_URL=$PIP_INDEX_URL" "DEBIAN_MIRROR=$DEBIAN_MIRROR"; do
    case $argument in *=) ;; *) arguments+=(--build-arg "$argument") ;; esac
  done
  if [ -z "$PUSH" ]; then
    if [ "$BUILDER" = docker ]; then
      run docker buildx build --load "${arguments[@]}" --tag "$image" "$ROOT"
    else
      run podman build "${arguments[@]}" --tag "$image" "$ROOT"
    fi
  elif [ "$BUILDER" = docker ]; then
    # Provenance would make an index of each image, and ECR count a third platform "unknown".
    run docker buildx build --platform "$PLATFORMS" --provenance=false --push "${arguments[@]}" --tag "$image" "$ROOT"
  else
    if podman manifest exists "$image" 2>/dev/null; then run podman manifest rm "$image"; fi
    run podman build --platform "$PLATFORMS" --manifest "$image" "${arguments[@]}" "$ROOT"
    run podman manifest push --all "$image" "docker://$image"
  fi
}

# size IMAGE REPOSITORY: of what was built, in MB; in ECR that of each platform, compressed as it is pulled.
size() {
  local bytes digest
  local -a digests
  if [ -n "$DRY_RUN" ]; then return; fi
  if [ -z "$PUSH" ]; then
    bytes=$("$BUILDER" image inspect --format '{{.Size}}' "$1")
    SIZES+=("$(printf '%-42s %6d MB here' "$1" $((bytes / 1000000)))")
    return
  fi
  mapfile -t digests < <(aws ecr batch-get-image --region "$REGION" --repository-name "$2" --image-ids "imageTag=$TAG" \
    --accepted-media-types application/vnd.oci.image.index.v1+json application/vnd.docker.distribution.manifest.list.v2+json \
    --query 'images[0].imageManifest' --output text | grep -o 'sha256:[0-9a-f]\{64\}' || true)
  for digest in "${digests[@]}"; do
    bytes=$(aws ecr describe-images --region "$REGION" --repository-name "$2" --image-ids "imageDigest=$digest" \
      --query 'imageDetails[0].imageSizeInBytes' --output text)
    SIZES+=("$(printf '%-42s %6d MB compressed, %s' "$2:$TAG" $((bytes / 1000000)) "${digest:0:19}")")
  done
}

make_service() {
  local repository=$PREFIX-$1 image
  if [ -z "$PUSH" ]; then
    image=$repository:$TAG
  else
    image=$REGISTRY/$repository:$TAG
    if [ -z "$DRY_RUN" ] && in_ecr "$repository" "$TAG"; then
      say "$image is there already"
      return
    fi
  fi
  say "== $image"
  build "$1" "$image"
  size "$image" "$repository"
}

# Images of others, by the tags that the chart names.
mirror() {
  local repository tag from
  while read -r repository tag; do
    case $repository in */*) from=$repository ;; *) from=library/$repository ;; esac
    from=${BASE_REGISTRY:-docker.io}/$from:$tag
    if [ -z "$DRY_RUN" ]; then
      aws ecr describe-repositories --region "$REGION" --repository-names "$repository" >/dev/null 2>&1 \
        || aws ecr create-repository --region "$REGION" --repository-name "$repository" >/dev/null
      if in_ecr "$repository" "$tag"; then
        say "$REGISTRY/$repository:$tag is there already"
        continue
      fi
    fi
    say "== $REGISTRY/$repository:$tag from $from"
    if [ "$BUILDER" = docker ]; then
      run docker buildx imagetools create --tag "$REGISTRY/$repository:$tag" "$from"
    else
      if podman manifest exists "$from" 2>/dev/null; then run podman manifest rm "$from"; fi
      run podman manifest create --all "$from" "docker://$from"
      run podman manifest push --all "$from" "docker://$REGISTRY/$repository:$tag"
    fi
  done < <(third_parties)
}

read_options "$@"
identify
find_builder
if [ -n "$PUSH$MIRROR" ]; then
  find_registry
  log_in
fi
find_base
for service in "${SERVICES[@]}"; do make_service "$service"; done
if [ -n "$MIRROR" ]; then mirror; fi
for line in "${SIZES[@]}"; do printf '%s\n' "$line"; done
