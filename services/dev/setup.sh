#!/usr/bin/env bash
# Installs what the project needs on a Debian machine, once: system packages, a virtual environment in
# .venv, and nats-server 2.10 or newer in .setup. On other systems it says what to install.
# usage: services/dev/setup.sh run|test
set -euo pipefail
cd "$(dirname "$0")/../.."
purpose=${1:-run}
setup=$PWD/.setup
mkdir -p "$setup"
say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
fail() { say "setup: $*"; exit 1; }

packages=(ffmpeg espeak-ng)
commands=(ffmpeg espeak-ng)
if [ "$purpose" = test ]; then
  packages+=(chromium prometheus faketime strace shellcheck)
  commands+=(chromium promtool faketime strace shellcheck)
  command -v npm >/dev/null || { packages+=(nodejs npm); commands+=(npm); }
fi

missing() {
  local command
  for command in "$@"; do command -v "$command" >/dev/null || printf '%s ' "$command"; done
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

install_packages() {
  local lacking
  lacking=$(missing "${commands[@]}")
  [ -z "$lacking" ] && return
  command -v apt-get >/dev/null || fail "please install these with your package manager: $lacking"
  say "Installing ${packages[*]} (missing: $lacking)"
  as_root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends "${packages[@]}" >"$setup/apt.log" 2>&1 \
    || { tail -n 20 "$setup/apt.log" >&2; fail "apt-get install failed, the log is .setup/apt.log"; }
}

find_python() {
  local candidate
  for candidate in python3.11 python3.12 python3.13 python3; do
    if command -v "$candidate" >/dev/null \
      && "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
}

python_for_venv() {
  local python
  python=$(find_python)
  if [ -z "$python" ] && command -v apt-get >/dev/null; then
    say "Installing python3-venv"
    as_root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq python3 python3-venv >"$setup/apt.log" 2>&1 || true
    python=$(find_python)
  fi
  [ -n "$python" ] || fail "Python 3.11 or newer with venv is needed; please install it"
  echo "$python"
}

# The environment is made anew only when what it is made from has changed.
install_environment() {
  local stamp python
  stamp=$(cat pyproject.toml services/dev/setup.sh | sha256sum | cut -d' ' -f1)
  [ "$(cat .venv/.stamp 2>/dev/null)" = "$stamp" ] && return
  if [ ! -x .venv/bin/python ]; then
    python=$(python_for_venv)
    say "Making .venv with $("$python" --version)"
    "$python" -m venv .venv
  fi
  say "Installing Python packages (a few minutes the first time)"
  local pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
  "${pip[@]}" torch==2.13.0
  "${pip[@]}" --editable '.[dev]'
  # its own dependencies are torch and torchaudio; we need the model file alone
  "${pip[@]}" --no-deps silero-vad==6.2.3
  echo "$stamp" >.venv/.stamp
}

good_nats() {
  local version
  version=$("$1" --version 2>/dev/null | sed -n 's/^nats-server: v\([0-9]*\)\.\([0-9]*\).*/\1 \2/p') || return 1
  [ -n "$version" ] || return 1
  # shellcheck disable=SC2086  # two words on purpose
  set -- $version
  [ "$1" -gt 2 ] || { [ "$1" -eq 2 ] && [ "$2" -ge 10 ]; }
}

# Debian 12 has 2.9, which loses queued work when it is killed. The same mirror's next release has a newer
# one that needs nothing else; it is unpacked beside the project, not installed.
install_nats() {
  local found
  found=$(command -v nats-server || true)
  if [ -n "$found" ] && good_nats "$found"; then ln -sfn "$found" "$setup/nats-server"; return; fi
  if [ -x "$setup/nats-server" ] && good_nats "$setup/nats-server"; then return; fi
  command -v apt-get >/dev/null && [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] \
    || fail "nats-server 2.10 or newer is needed on PATH; please install it"
  local mirror work=$setup/nats
  mirror=$(debian_mirror)
  [ -n "$mirror" ] || fail "no Debian mirror is configured here; please install nats-server 2.10 or newer"
  say "Fetching nats-server"
  local suite
  for suite in trixie forky sid; do
    if fetch_nats "$suite" "$mirror" "$work" && good_nats "$work/usr/sbin/nats-server"; then
      ln -sfn "$work/usr/sbin/nats-server" "$setup/nats-server"
      return
    fi
  done
  fail "no nats-server 2.10 or newer could be fetched from the configured Debian mirror (.setup/nats/apt.log)"
}

debian_mirror() {
  { sed -n 's/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list.d/*.sources 2>/dev/null
    sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null
  } | grep '/debian/*$' | head -n 1 || true
}

fetch_nats() {
  local suite=$1 mirror=$2 work=$3
  rm -rf "$work"
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$work/sources.list"
  local apt=(apt-get -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache"
    -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o APT::Sandbox::User=root)
  ( cd "$work" && "${apt[@]}" -qq update && "${apt[@]}" -qq download nats-server && dpkg-deb -x nats-server_*.deb . ) \
    >"$work/apt.log" 2>&1 || return 1
  rm -rf "$work/lists" "$work/cache" "$work"/*.deb
}

# The repository keeps the test model's trained rows only.
expand_model() {
  local compact=sagemaker/models/whisper-duo/compact.safetensors full=$setup/models/whisper-duo
  [ -e "$full/model.safetensors" ] && [ "$full/model.safetensors" -nt "$compact" ] && return
  say "Expanding the test model"
  PYTHONPATH=$PWD:$PWD/sagemaker .venv/bin/python -m testmodel expand >"$setup/expand.log" 2>&1 \
    || { tail -n 20 "$setup/expand.log" >&2; fail "the test model could not be expanded, the log is .setup/expand.log"; }
}

# OpenAI's Node SDK, as a client under test, with the Node that it needs.
install_node_sdk() {
  local wanted=tests/clients/node/package.json there=$setup/node
  cmp -s "$wanted" "$there/package.json" && [ -x "$there/node_modules/.bin/node" ] && return
  say "Installing OpenAI's Node SDK"
  rm -rf "$there"
  mkdir -p "$there"
  ( cd "$there" && cp "$OLDPWD/$wanted" . && npm install --no-package-lock --no-audit --no-fund ) >"$setup/npm.log" 2>&1 \
    || { tail -n 20 "$setup/npm.log" >&2; rm -rf "$there"; fail "npm install failed, the log is .setup/npm.log"; }
}

# OpenAI's Python SDK in the major version before the one in .venv, beside which it cannot stand.
install_python_sdk() {
  local wanted=openai==2.54.0 there=$setup/openai-2
  [ "$(cat "$there/.wanted" 2>/dev/null)" = "$wanted" ] && return
  say "Installing OpenAI's Python SDK, version 2"
  rm -rf "$there"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --target "$there" "$wanted" >"$setup/pip.log" 2>&1 \
    || { tail -n 20 "$setup/pip.log" >&2; fail "pip install failed, the log is .setup/pip.log"; }
  echo "$wanted" >"$there/.wanted"
}

install_packages
install_environment
if [ "$purpose" = test ]; then install_node_sdk; install_python_sdk; fi
expand_model
install_nats
