# What the commands of this folder share: words to the operator, the log, questions, and calls of AWS.
# shellcheck shell=bash

if [ "${BASH_VERSINFO[0]}" -lt 4 ] || { [ "${BASH_VERSINFO[0]}" -eq 4 ] && [ "${BASH_VERSINFO[1]}" -lt 4 ]; }; then
  echo "error: bash 4.4 or newer is needed, this is $BASH_VERSION. On macOS: brew install bash" >&2
  exit 1
fi
set -euo pipefail
shopt -s inherit_errexit # else a failure inside $(...) goes unseen
umask 077 # logs and working files are the operator's own

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
CHART=$ROOT/charts/whisper-webui
NAMESPACE=whisper-webui
RELEASE=whisper-webui
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
POLL_SECONDS=${POLL_SECONDS:-15}
WAIT_MINUTES=${WAIT_MINUTES:-60}
SERVICES="gateway auth chunker transcriber provision"
LOG=/dev/null
NAME=whisper-webui
REGION=${AWS_REGION:-${AWS_DEFAULT_REGION:-}}
YES=

# AWS throttles whoever asks often; its own command line waits and asks again.
export AWS_RETRY_MODE=${AWS_RETRY_MODE:-standard} AWS_MAX_ATTEMPTS=${AWS_MAX_ATTEMPTS:-8}
export AWS_PAGER="" AWS_DEFAULT_OUTPUT=text

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
trap 'interrupted' INT TERM

interrupted() {
  trap - INT TERM
  say ""
  say "interrupted; what AWS has begun goes on. Run the same command again: it goes on where it was."
  exit 130
}

# --- words ---------------------------------------------------------------------------------------------

say() {
  printf '%s\n' "$*" >&2
  printf '%s\n' "$*" >>"$LOG"
}

step() { say "== $*"; }

note() { printf '%s %s\n' "$(date -u +%H:%M:%S)" "$*" >>"$LOG"; }

fail() {
  say "error: $*"
  exit 1
}

usage_error() {
  say "error: $*"
  say "$(basename "$0") --help tells what there is"
  exit 64
}

# The comment at the top of a command is its help.
show_help() { sed -n '2,/^$/{s/^# \{0,1\}//p}' "$0"; }

# confirm QUESTION: whether the operator says yes; with --yes they have.
confirm() {
  local answer
  if [ -n "$YES" ]; then return 0; fi
  printf '%s [y/N] ' "$1" >&2
  read -r answer || answer=
  note "$1 -> ${answer:-no answer}"
  case $answer in y | Y | yes | Yes | YES) return 0 ;; *) return 1 ;; esac
}

# confirm_name WHAT: whether the operator types the name of what is to be destroyed.
confirm_name() {
  local answer
  if [ -n "$YES" ]; then return 0; fi
  printf 'Type %s to destroy this: ' "$1" >&2
  read -r answer || answer=
  note "asked to type $1 -> ${answer:-no answer}"
  [ "$answer" = "$1" ]
}

# logged COMMAND...: run it with its output in the log; the end of that is shown when it fails.
logged() {
  local output=$WORK/output status=0
  note "+ $*"
  "$@" >"$output" 2>&1 || status=$?
  cat "$output" >>"$LOG"
  if [ "$status" -ne 0 ]; then
    tail -n 20 "$output" >&2
    say "error: $1 ${2:-} ended with $status; all of it is in $LOG"
    return "$status"
  fi
}

# json_string TEXT: as JSON writes it, quotes included.
json_string() {
  local text=$1
  text=${text//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//$'\n'/\\n}
  text=${text//$'\t'/\\t}
  printf '"%s"' "$text"
}

# --- AWS -----------------------------------------------------------------------------------------------

# ask ARGUMENTS...: what AWS answers; where it refuses, the reason and its remedy, and failure.
ask() { ask_unless '^$' "$@"; }

# ask_unless MISSING ARGUMENTS...: the same, with nothing for an answer where the refusal matches MISSING.
ask_unless() {
  local missing=$1 said
  shift
  said=$(mktemp "$WORK/said.XXXXXX")
  if aws "$@" 2>"$said"; then return 0; fi
  note "aws $1 $2: $(tr '\n' ' ' <"$said")"
  if grep -Eq "$missing" <<<"$(grep . "$said" || true)"; then return 0; fi
  say "error: aws $1 $2: $(explained "$said")"
  return 1
}

# explained FILE: one sentence from what the AWS command line wrote, and what to do about it.
explained() {
  local said
  said=$(tr '\n' ' ' <"$1" | sed 's/  */ /g; s/^ //; s/ $//')
  case $said in
    *ExpiredToken* | *RequestExpired* | *"has expired"* | *"is expired"* | *InvalidClientTokenId* | *UnrecognizedClient* | *"token included in the request is invalid"*)
      echo "the AWS credentials have expired or are not valid. Log in again (aws sso login, or new keys), then run the same command again: it goes on where it was" ;;
    *"locate credentials"* | *NoCredentials*)
      echo "there are no AWS credentials. Run aws configure or aws sso login, or set AWS_PROFILE" ;;
    *AccessDenied* | *UnauthorizedOperation* | *"not authorized to perform"*)
      echo "$said. docs/deploy.md lists the rights that you need" ;;
    *"connect to the endpoint URL"* | *"Could not resolve"*)
      echo "$said. Either this machine does not reach AWS, or the region has no such service" ;;
    *Throttl* | *TooManyRequests* | *"Rate exceeded"*)
      echo "AWS throttles this account after $AWS_MAX_ATTEMPTS tries. Wait a minute, then run the same command again" ;;
    *LimitExceeded* | *"limit"*"exceeded"*)
      echo "$said. Ask for more in the Service Quotas console" ;;
    "") echo "the AWS command line ended without a word" ;;
    *) echo "$said" ;;
  esac
}

# identify: who we are; sets ACCOUNT, CALLER and PARTITION, and fixes the region for every call.
identify() {
  [ -n "$REGION" ] || REGION=$(aws configure get region 2>/dev/null || true)
  [ -n "$REGION" ] || usage_error "which region? Give --region, or set AWS_REGION"
  export AWS_REGION=$REGION AWS_DEFAULT_REGION=$REGION
  local found
  found=$(ask sts get-caller-identity --query '[Account,Arn]')
  read -r ACCOUNT CALLER <<<"$found"
  PARTITION=$(cut -d: -f2 <<<"$CALLER")
  [ "$PARTITION" = "$(partition_of "$REGION")" ] \
    || fail "these credentials are of the partition $PARTITION, and $REGION is in $(partition_of "$REGION"): China has accounts of its own"
}

partition_of() {
  case $1 in
    cn-*) echo aws-cn ;;
    us-gov-*) echo aws-us-gov ;;
    *) echo aws ;;
  esac
}

in_china() { [ "$(partition_of "$REGION")" = aws-cn ]; }

check_name() {
  [[ $NAME =~ ^[a-z][a-z0-9-]{0,28}[a-z0-9]$ && $NAME != *--* ]] \
    || usage_error "--name '$NAME': use 2 to 30 small letters, digits and single hyphens, with a letter first"
}

check_preset() {
  case $PRESET in "" | small | ha | spot | china) ;; *) usage_error "--preset '$PRESET' is none of small, ha, spot, china" ;; esac
}

# open_log: where this run is written down.
open_log() {
  STATE=${STATE_HOME:-$ROOT/.local/aws}/$NAME-$REGION
  mkdir -p "$STATE"
  LOG=$STATE/$(basename "$0")-$(date -u +%Y%m%dT%H%M%SZ).log
  : >>"$LOG"
  note "$(basename "$0") as $CALLER in $REGION"
  export KUBECONFIG=$STATE/kubeconfig # never the operator's own, which may point anywhere
}

# own_python ARGUMENTS...: the project's own commands.
own_python() { PYTHONPATH=$ROOT:$ROOT/sagemaker "$PYTHON" "$@"; }
