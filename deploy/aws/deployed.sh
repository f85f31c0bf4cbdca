# doctor's checks of what is deployed: stacks, cluster, what runs in it, images, secrets, endpoint, certificate.
# shellcheck shell=bash

RERUN="run deploy/aws/up again: it goes on where it was"

check_deployment() {
  if ! try cloudformation describe-stacks --query "$(own_stacks).[StackName,StackStatus,Tags[?Key=='whisper-endpoint']|[0].Value,Tags[?Key=='whisper-certificate']|[0].Value]"; then
    bad "stacks" "$REFUSAL" "get the right to call cloudformation:DescribeStacks"
    return
  fi
  if [ -z "$ANSWER" ]; then
    warn "deployment" "there is none named $NAME in $REGION" "deploy/aws/up makes it"
    return
  fi
  local stacks=$ANSWER
  if [ -z "$ENDPOINT" ]; then ENDPOINT=$(awk '$3 != "None" { print $3; exit }' <<<"$stacks"); fi
  CERTIFICATE=$(awk '$4 != "None" { print $4; exit }' <<<"$stacks")
  check_stacks "$stacks"
  check_network
  check_cluster
  check_images
  check_accounts
  check_endpoint
  check_certificate
}

check_stacks() {
  local kind state
  for kind in cluster app; do
    state=$(awk -v stack="$NAME-$kind" '$1 == stack { print $2 }' <<<"$1")
    case $state in
      CREATE_COMPLETE | UPDATE_COMPLETE | UPDATE_ROLLBACK_COMPLETE) pass "stack $kind" "$state" ;;
      "") bad "stack $kind" "does not exist" "$RERUN" ;;
      *_IN_PROGRESS) warn "stack $kind" "$state" "wait for its end" ;;
      *) bad "stack $kind" "$state: $(reasons "$NAME-$kind")" "$RERUN" ;;
    esac
  done
}

check_network() {
  local subnets
  subnets=$(output "$NAME-network" PrivateSubnetIds)
  if [ -n "$subnets" ]; then check_subnets "$subnets" --made; fi
}

# --- the cluster ---------------------------------------------------------------------------------------

check_cluster() {
  local cluster state version
  cluster=$(output "$NAME-cluster" ClusterName)
  if [ -z "$cluster" ]; then return; fi
  if ! try eks describe-cluster --name "$cluster" --query 'cluster.[status,version]'; then
    bad "cluster" "$REFUSAL" "$RERUN"
    return
  fi
  read -r state version <<<"$ANSWER"
  if [ "$state" != ACTIVE ]; then
    bad "cluster" "$cluster is $state" "wait until it is ACTIVE: aws eks wait cluster-active --name $cluster"
    return
  fi
  pass "cluster" "$cluster is ACTIVE, Kubernetes $version"
  export KUBECONFIG=$WORK/kubeconfig
  if ! try eks update-kubeconfig --name "$cluster" --alias "$cluster" --kubeconfig "$KUBECONFIG"; then
    bad "kubectl" "$REFUSAL" "get the right to call eks:DescribeCluster"
    return
  fi
  if ! kubectl get --raw /readyz --request-timeout=15s >/dev/null 2>"$WORK/refused"; then
    bad "kubectl" "does not reach the cluster: $(head -n 1 "$WORK/refused")" \
      "deploy/aws/up --name $NAME --region $REGION --api-access YOUR_ADDRESS/32; and only who made the cluster, or has an access entry, may log in"
    return
  fi
  pass "kubectl" "reaches the cluster"
  check_in_cluster
}

# look ARGUMENTS...: what kubectl says, or nothing.
look() { kubectl "$@" 2>/dev/null || true; }

check_in_cluster() {
  check_nodes
  check_deployment_of "load balancers" kube-system aws-load-balancer-controller
  check_deployment_of "KEDA" keda keda-operator
  if [ -n "$(look get crd scaledobjects.keda.sh --ignore-not-found --output name)" ]; then
    pass "KEDA CRDs" "are there"
  else
    bad "KEDA CRDs" "scaledobjects.keda.sh does not exist: nothing scales" "$RERUN"
  fi
  check_storage
  check_nats_keys
  check_release
}

check_nodes() {
  local unready
  unready=$(look get nodes --no-headers | awk '$2 != "Ready" { print $1 }' | tr '\n' ' ')
  if [ -z "$unready" ]; then
    pass "nodes" "$(look get nodes --no-headers | wc -l) ready"
  else
    bad "nodes" "not ready: $unready" "kubectl describe node tells why"
  fi
}

# check_deployment_of CHECK NAMESPACE NAME
check_deployment_of() {
  local ready
  ready=$(look get deployment "$3" --namespace "$2" --ignore-not-found --output 'jsonpath={.status.readyReplicas}')
  if [ "${ready:-0}" -ge 1 ]; then
    pass "$1" "$3 has $ready ready"
  else
    bad "$1" "$3 in $2 has none ready" "kubectl describe deployment $3 --namespace $2 tells why; $RERUN"
  fi
}

check_storage() {
  local classes
  classes=$(look get storageclass --output 'jsonpath={range .items[*]}{.metadata.name}={.provisioner} {end}')
  if grep -q '=ebs.csi.aws.com' <<<"$classes"; then
    pass "storage class" "$classes"
  else
    bad "storage class" "none is of the provisioner ebs.csi.aws.com: NATS gets no volume" "$RERUN"
  fi
}

check_nats_keys() {
  local found role missing=
  found=$(look get secret "$RELEASE-nats-keys" --namespace "$NAMESPACE" --ignore-not-found \
    --output 'go-template={{range $key, $value := .data}}{{$key}} {{end}}')
  for role in $SERVICES; do
    grep -qw "$role" <<<"$found" || missing+=" $role"
  done
  if [ -z "$missing" ]; then
    pass "NATS keys" "all are there"
  else
    bad "NATS keys" "Secret $RELEASE-nats-keys lacks$missing" "$RERUN; it makes the Secret where there is none"
  fi
}

check_release() {
  local state
  state=$(helm status "$RELEASE" --namespace "$NAMESPACE" 2>/dev/null | sed -n 's/^STATUS: //p' || true)
  case $state in
    deployed) pass "release" "$RELEASE is deployed" ;;
    "") bad "release" "$RELEASE is not installed" "$RERUN" ;;
    *) bad "release" "$RELEASE is $state" "$RERUN" ;;
  esac
}

# --- AWS -----------------------------------------------------------------------------------------------

check_images() {
  local service missing=
  for service in $SERVICES; do
    if ! try ecr describe-images --repository-name "$NAME-$service" --query 'imageDetails[].imageDigest'; then
      missing+=" $service (no repository)"
    elif [ -z "$ANSWER" ]; then
      missing+=" $service (no image)"
    fi
  done
  if [ -z "$missing" ]; then
    pass "images" "ECR has one of each service"
  else
    bad "images" "ECR lacks:$missing" "$RERUN, or deploy/aws/images.sh"
  fi
}

# The secret goes from AWS to the parser that the auth service uses, whose complaint never quotes a value.
check_accounts() {
  local secret said
  secret=$(output "$NAME-app" CredentialsSecretName)
  if [ -z "$secret" ]; then return; fi
  if ! aws secretsmanager get-secret-value --secret-id "$secret" --version-stage AWSCURRENT --query SecretString 2>"$WORK/refused" \
    | own_python -c 'import sys
from services.auth.accounts import parse
from services.common.errors import ServiceError
try:
    print(len(parse(sys.stdin.read())))
except ServiceError as error:
    sys.exit(str(error))' >"$WORK/accounts" 2>"$WORK/complaint"; then
    said=$(head -n 1 "$WORK/complaint")
    if [ -s "$WORK/refused" ]; then said=$(explained "$WORK/refused"); fi
    bad "accounts" "$secret: $said" "put a version that is right: docs/deploy.md, Accounts; those who are logged in stay so"
  else
    pass "accounts" "$secret has $(cat "$WORK/accounts")"
  fi
}

check_endpoint() {
  if [ -z "$ENDPOINT" ]; then return; fi
  if ! try sagemaker describe-endpoint --endpoint-name "$ENDPOINT" --query '[EndpointStatus,FailureReason]'; then
    bad "endpoint" "$ENDPOINT: $REFUSAL" "$RERUN"
    return
  fi
  case $ANSWER in
    InService*) pass "endpoint" "$ENDPOINT is InService" ;;
    *Updating* | *Creating* | *RollingBack*) warn "endpoint" "$ENDPOINT is ${ANSWER%%$'\t'*}" "wait for its end" ;;
    *) bad "endpoint" "$ENDPOINT is ${ANSWER/$'\t'/: }" "python -m deploy status --name $ENDPOINT (docs/deploy-endpoint.md, When something is wrong)" ;;
  esac
}

check_certificate() {
  local state until days
  if [ -z "$CERTIFICATE" ]; then return; fi
  if ! try acm describe-certificate --certificate-arn "$CERTIFICATE" --query 'Certificate.[Status,NotAfter]'; then
    bad "certificate" "$REFUSAL" "deploy/aws/up --certificate-arn ARN takes another"
    return
  fi
  read -r state until <<<"$ANSWER"
  if [ "$state" != ISSUED ]; then
    bad "certificate" "is $state" "add the record that ACM names to the domain: aws acm describe-certificate --certificate-arn $CERTIFICATE"
    return
  fi
  days=$(own_python -c 'import datetime, sys
text = sys.argv[1]
try:
    until = float(text)
except ValueError:
    until = datetime.datetime.fromisoformat(text).timestamp()
print(int((until - datetime.datetime.now().timestamp()) // 86400))' "$until" 2>/dev/null || true)
  if [ -z "$days" ]; then
    warn "certificate" "is ISSUED; its end was not understood: $until" "aws acm describe-certificate tells it"
  elif [ "$days" -lt 30 ]; then
    bad "certificate" "ends in $days days" "ACM renews one with a DNS record by itself: see that the record is there; an imported one import anew"
  else
    pass "certificate" "is ISSUED, $days days left"
  fi
}
