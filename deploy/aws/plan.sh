# What `up` shows before it spends anything, and doctor's word on it.
# shellcheck shell=bash

show_plan() {
  say "$NAME in $REGION, account $ACCOUNT, preset $PRESET"
  if [ -n "$VPC" ]; then
    plan_line "network" "exists: $VPC"
  else
    plan_stack network "VPC with three zones; NAT gateways and their traffic cost by the hour and GB"
  fi
  plan_stack cluster "EKS cluster and its nodes; both cost by the hour"
  plan_stack app "repositories, roles, secrets, a bucket, logs, alarms; these cost little"
  plan_endpoint
  if [ -n "$CERTIFICATE" ]; then
    plan_line "address" "load balancer with HTTPS, $SCHEME${DOMAIN:+ for $DOMAIN}; costs by the hour and GB"
  else
    plan_line "address" "none from outside, for want of a certificate (--domain or --certificate-arn): kubectl port-forward"
  fi
  plan_line "chart" "images with the tag $IMAGE_TAG, values-$PRESET.yaml${MONITORING:+, Prometheus and Grafana}"
  say "What it costs: deploy/aws/cost --region $REGION; nothing ends by itself but workers$(idle_endpoint), and deploy/aws/down ends it all."
}

idle_endpoint() { if [ "$SCALE_TO_ZERO" = yes ]; then echo " and the idle endpoint"; fi; }

plan_line() { say "$(printf '  %-9s %s' "$1" "$2")"; }

plan_stack() {
  local state
  state=$(state_of "$NAME-$1")
  if [ -n "$state" ]; then
    plan_line "$1" "exists ($state); CloudFormation is asked what differs"
  else
    plan_line "$1" "new: $2"
  fi
}

plan_endpoint() {
  local state zero=''
  state=$(endpoint_state)
  if [ "$SCALE_TO_ZERO" = yes ]; then zero=', none while idle'; fi
  if [ -n "$state" ]; then
    plan_line "endpoint" "exists: $ENDPOINT is $state"
  elif [ "$ENDPOINT" = "$OWN_ENDPOINT" ]; then
    plan_line "endpoint" "new: $ENDPOINT on ${INSTANCE_TYPE:-ml.g4dn.xlarge}$zero; costs most, by the hour and instance"
  else
    fail "there is no endpoint $ENDPOINT in $REGION; without --endpoint one is deployed"
  fi
}

endpoint_state() {
  ask_unless 'Could not find|does not exist' sagemaker describe-endpoint --endpoint-name "$ENDPOINT" --query EndpointStatus
}

# component_name: that of the endpoint which scales to zero, if it is there.
component_name() {
  ask_unless 'Could not find|does not exist' sagemaker describe-inference-component \
    --inference-component-name "$ENDPOINT-component" --query InferenceComponentName
}

check_prerequisites() {
  local status=0
  local -a about=(--before-up --name "$NAME" --region "$REGION" --preset "$PRESET")
  if [ -n "$VPC" ]; then about+=(--vpc "$VPC" --subnets "$SUBNETS"); fi
  if [ "$ENDPOINT" != "$OWN_ENDPOINT" ]; then about+=(--endpoint "$ENDPOINT"); fi
  if [ -n "$INSTANCE_TYPE" ]; then about+=(--instance-type "$INSTANCE_TYPE"); fi
  step "doctor"
  "$HERE/doctor" --quiet "${about[@]}" >&2 || status=$?
  if [ "$status" -ge 2 ] && [ -z "$FORCE" ]; then
    fail "doctor finds what would fail later; see above. --force goes on all the same"
  fi
}
