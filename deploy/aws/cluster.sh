# What runs in the cluster: its add-ons, the Secrets that are made once, and the project's chart.
# shellcheck shell=bash

# shellcheck source=versions.env
. "$HERE/versions.env"

# use_cluster NAME: let kubectl and helm talk to it, by a kubeconfig of our own.
use_cluster() {
  logged aws eks update-kubeconfig --name "$1" --alias "$1" --kubeconfig "$KUBECONFIG"
}

# reach_cluster: whether the Kubernetes API answers.
reach_cluster() { kubectl get --raw /readyz --request-timeout=15s >>"$LOG" 2>&1; }

unreachable() {
  echo "kubectl does not reach the cluster. Its API answers only from the addresses given at its creation: run deploy/aws/up --name $NAME --region $REGION --api-access YOUR_ADDRESS/32 (it replaces the addresses before: add those of others after commas)"
}

# forget_cluster_logs: EKS writes its last lines after a cluster is gone, and so makes the log group anew, which then
# is in the way of the next stack. Only where there is no cluster.
forget_cluster_logs() {
  case $(stack_state "$NAME-cluster") in
    "" | DELETE_COMPLETE | REVIEW_IN_PROGRESS | ROLLBACK_COMPLETE | ROLLBACK_FAILED | CREATE_FAILED) ;;
    *) return 0 ;;
  esac
  if [ -z "$(ask_unless ResourceNotFoundException eks describe-cluster --name "$NAME" --query cluster.status)" ]; then
    ask_unless ResourceNotFoundException logs delete-log-group --log-group-name "/aws/eks/$NAME/cluster"
  fi
}

# install RELEASE NAMESPACE CHART VERSION REPOSITORY ARGUMENTS...: a chart of others, at a pinned version.
install() {
  local release=$1 namespace=$2 chart=$3 version=$4 repository=$5
  shift 5
  unstick "$release" "$namespace"
  say "   $release $version"
  logged helm upgrade --install "$release" "$chart" --version "$version" --repo "$repository" \
    --namespace "$namespace" --create-namespace --wait --timeout 10m "$@"
}

# unstick RELEASE NAMESPACE: end what an interrupted helm left half done, which it would refuse to touch.
unstick() {
  local state
  state=$(helm status "$1" --namespace "$2" 2>/dev/null | sed -n 's/^STATUS: //p' || true)
  case $state in
    pending-install | uninstalling)
      say "   $1 was left $state by an earlier run: removed, then made anew"
      logged helm uninstall "$1" --namespace "$2" --wait ;;
    pending-upgrade | pending-rollback)
      say "   $1 was left $state by an earlier run: taken back to the version before"
      logged helm rollback "$1" --namespace "$2" --wait ;;
  esac
}

# registry_of_controller: where this region has the load balancer controller's image; nothing for the chart's own.
registry_of_controller() {
  if [ -n "$LBC_REGISTRY" ]; then
    echo "$LBC_REGISTRY"
    return
  fi
  case $REGION in
    cn-north-1) echo "$LBC_REGISTRY_CN_NORTH_1" ;;
    cn-northwest-1) echo "$LBC_REGISTRY_CN_NORTHWEST_1" ;;
  esac
}

install_load_balancer_controller() {
  local registry role
  local -a more=()
  registry=$(registry_of_controller)
  role=$(output "$NAME-cluster" LoadBalancerControllerRoleArn)
  if [ -n "$registry" ]; then more+=(--set "image.repository=$registry/amazon/aws-load-balancer-controller"); fi
  if [ "$IDENTITY" = irsa ]; then
    more+=(--set "serviceAccount.annotations.eks\.amazonaws\.com/role-arn=$role")
  fi
  install aws-load-balancer-controller kube-system aws-load-balancer-controller "$LBC_VERSION" "$LBC_REPOSITORY" \
    --set "clusterName=$CLUSTER" --set "region=$REGION" --set "vpcId=$VPC" \
    --set serviceAccount.name=aws-load-balancer-controller "${more[@]}"
}

install_keda() {
  local -a more=()
  if [ -n "$KEDA_REGISTRY" ]; then more+=(--set "global.image.registry=$KEDA_REGISTRY"); fi
  install keda keda keda "$KEDA_VERSION" "$KEDA_REPOSITORY" "${more[@]}"
}

# The gateways are scaled by their CPU, which EKS does not measure by itself.
install_metrics_server() {
  local -a more=()
  if [ -n "$METRICS_REGISTRY" ]; then more+=(--set "image.repository=$METRICS_REGISTRY/metrics-server/metrics-server"); fi
  install metrics-server kube-system metrics-server "$METRICS_VERSION" "$METRICS_REPOSITORY" "${more[@]}"
}

install_monitoring() {
  local -a more=()
  if [ -n "$MONITORING_REGISTRY" ]; then more+=(--set "global.imageRegistry=$MONITORING_REGISTRY"); fi
  # Without these two the operator sees only what its own release made.
  install monitoring monitoring kube-prometheus-stack "$MONITORING_VERSION" "$MONITORING_REPOSITORY" \
    --set prometheus.prometheusSpec.serviceMonitorSelectorNilUsesHelmValues=false \
    --set prometheus.prometheusSpec.ruleSelectorNilUsesHelmValues=false "${more[@]}"
}

make_namespace() {
  kubectl create namespace "$NAMESPACE" --dry-run=client --output yaml | apply
  logged kubectl label namespace "$NAMESPACE" --overwrite \
    pod-security.kubernetes.io/enforce=restricted pod-security.kubernetes.io/warn=restricted \
    elbv2.k8s.aws/pod-readiness-gate-inject=enabled # a new gateway is ready once the load balancer sends to it
}

# apply: a manifest from stdin. Nothing of it reaches the log or a command line.
apply() { logged kubectl apply --namespace "$NAMESPACE" --filename -; }

has_secret() { [ -n "$(kubectl get secret "$1" --namespace "$NAMESPACE" --ignore-not-found --output name)" ]; }

# make_keys: an NKey for each service and the key that JetStream encrypts its files with, once: new ones would lock
# out what runs, and what it has stored. Secrets Manager keeps them, too, for the volumes of a cluster that is gone.
make_keys() {
  local secret=$RELEASE-nats-keys kept=$NAME-nats-keys found
  if has_secret "$secret"; then
    say "   Secret $secret exists"
    return
  fi
  revive "$kept"
  found=$(ask_unless ResourceNotFoundException secretsmanager describe-secret --secret-id "$kept" --query Name)
  if [ -z "$found" ]; then
    say "   $kept is made in Secrets Manager"
    own_python -m services.provision new-keys --secret "$secret" >"$WORK/keys"
    ask secretsmanager create-secret --name "$kept" --secret-string "file://$WORK/keys" --query Name >>"$LOG" \
      --description "Keys of NATS; without them JetStream's volumes cannot be read"
    rm "$WORK/keys"
  fi
  say "   Secret $secret is made of it"
  ask secretsmanager get-secret-value --secret-id "$kept" --version-stage AWSCURRENT --query SecretString | apply
}

# revive SECRET: take back that `down --delete-data` gave it a few days to live.
revive() {
  local date
  date=$(ask_unless ResourceNotFoundException secretsmanager describe-secret --secret-id "$1" --query DeletedDate)
  case $date in "" | None) return 0 ;; esac
  say "   secret $1 was to be deleted: it is restored"
  ask secretsmanager restore-secret --secret-id "$1" --query Name >>"$LOG"
}

TEST_ACCOUNT=$RELEASE-test-account

# make_test_account: a Secret with the first account whose password AWS has generated, for `helm test`.
make_test_account() {
  local found
  ask secretsmanager get-secret-value --secret-id "$(needed_output "$NAME-app" CredentialsSecretName)" \
    --version-stage AWSCURRENT --query SecretString >"$WORK/accounts"
  found=$(own_python - "$WORK" <<'PYTHON'
import json, pathlib, sys

folder = pathlib.Path(sys.argv[1])
accounts = json.loads((folder / "accounts").read_text())
plain = [(user, value) for user, value in accounts.items() if isinstance(value, str)]
for user, password in plain[:1]:
    (folder / "username").write_text(user)
    (folder / "password").write_text(password)
    print("found")
PYTHON
  )
  if [ -n "$found" ]; then
    kubectl create secret generic "$TEST_ACCOUNT" --from-file "$WORK/username" --from-file "$WORK/password" \
      --dry-run=client --output yaml | apply
  fi
  rm -f "$WORK/accounts" "$WORK/username" "$WORK/password"
}
