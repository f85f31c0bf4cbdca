# The images of others that the chart needs. shellcheck shell=bash

# third_parties: lines of repository and tag, as the chart's values name them.
third_parties() {
  awk '$1 == "repository:" { repository = $2 } $1 == "tag:" && repository ~ /nats/ { print repository, $2 }' \
    "$ROOT/charts/whisper-webui/values.yaml"
}
