# The values by which `up` tells the chart of this account.
# shellcheck shell=bash

# own_values: what the chart has to know of this account. There is no secret in it.
own_values() {
  local component public=false watched=false
  component=$(component_name)
  if [ -n "$CERTIFICATE" ]; then public=true; fi
  if [ -n "$(kubectl get crd servicemonitors.monitoring.coreos.com --ignore-not-found --output name)" ]; then watched=true; fi
  cat <<VALUES
# Written by deploy/aws/up from what AWS has; changes here are lost. More values: up --values FILE.
image:
  registry: "$(needed_output "$NAME-app" RegistryUri)"
  repository: "$NAME"
  tag: "$IMAGE_TAG"
aws:
  region: "$REGION"
  identity: "$IDENTITY"
  roles:
    auth: "$(needed_output "$NAME-app" AuthRoleArn)"
    transcriber: "$(needed_output "$NAME-app" TranscriberRoleArn)"
  endpoint:
    name: "$ENDPOINT"
    inferenceComponent: "$component"
  secretName: "$(needed_output "$NAME-app" CredentialsSecretName)"
  signingSecretName: "$(needed_output "$NAME-app" SigningSecretName)"
publicUrl: "${DOMAIN:+https://$DOMAIN}"
loadBalancer:
  enabled: $public
  scheme: $SCHEME
  certificateArn: "$CERTIFICATE"
monitoring:
  serviceMonitor:
    enabled: $watched
  rules:
    enabled: $watched
  dashboards:
    enabled: $watched
tests:
  credentialsSecret: "$TEST_ACCOUNT"
VALUES
  if in_china; then own_registry_for_nats; fi
}

# Docker Hub is closed from China: images.sh has copied these two to ECR.
own_registry_for_nats() {
  local registry
  registry=$(needed_output "$NAME-app" RegistryUri)
  cat <<VALUES
nats:
  image:
    registry: "$registry"
  reloader:
    image:
      registry: "$registry"
VALUES
}
