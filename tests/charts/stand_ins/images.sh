#!/bin/bash
# Stands in for deploy/aws/images.sh: every image is in ECR at once.
printf '["images.sh", "%s"]\n' "$*" >>"$RECORD"
while [ $# -gt 1 ]; do if [ "$1" = --tag ]; then tag=$2; fi; shift; done
for service in gateway auth chunker transcriber provision; do
  curl -fsS -X POST "$AWS_ENDPOINT_URL/pushed/whisper-webui-$service:$tag"
done
