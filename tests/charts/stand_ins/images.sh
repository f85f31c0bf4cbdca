#!/bin/bash
# Stands in for deploy/aws/images.sh: every image is in ECR at once.
printf '["images.sh", "%s"]\n' "$*" >>"$RECORD"
while [ $# -gt 1 ]; do case $1 in --tag) tag=$2 ;; --prefix) prefix=$2 ;; esac; shift; done
for service in gateway auth chunker transcriber provision; do
  curl -fsS -X POST "$AWS_ENDPOINT_URL/pushed/$prefix-$service:$tag"
done
