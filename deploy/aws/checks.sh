# doctor's checks of what `up` needs: tools, credentials, rights, quotas, and the network.
# shellcheck shell=bash

WORST=0
FIRST=yes

# --- results -------------------------------------------------------------------------------------------

begin() { if [ -n "$JSON" ]; then printf '['; fi; }

finish() {
  if [ -n "$JSON" ]; then printf ']\n'; fi
  exit "$WORST"
}

pass() { result PASS "$1" "$2" ""; }

warn() {
  if [ "$WORST" -lt 1 ]; then WORST=1; fi
  result WARN "$1" "$2" "$3"
}

bad() {
  WORST=2
  result FAIL "$1" "$2" "$3"
}

# result STATE CHECK SAID FIX
result() {
  if [ -n "$JSON" ]; then
    if [ -z "$FIRST" ]; then printf ','; fi
    printf '{"check":%s,"state":"%s","said":%s,"fix":%s}\n' \
      "$(json_string "$2")" "$1" "$(json_string "$3")" "$(json_string "$4")"
  elif [ -z "$QUIET" ] || [ "$1" != PASS ]; then
    printf '%s  %-16s %s\n' "$1" "$2" "$3"
    if [ -n "$4" ]; then printf '%24s%s\n' '' "-> $4"; fi
  fi
  FIRST=
}

# try ARGUMENTS...: ask AWS; ANSWER is what it says, and REFUSAL one sentence where it refuses.
try() {
  local status=0
  REFUSAL=
  ANSWER=$(aws "$@" 2>"$WORK/refused") || status=$?
  if [ "$status" -ne 0 ]; then REFUSAL=$(explained "$WORK/refused"); fi
  return "$status"
}

# --- this machine --------------------------------------------------------------------------------------

check_tools() {
  check_tool aws 2 "aws --version" 'aws-cli/\([0-9.]*\)' "install version 2 of the AWS command line"
  check_tool kubectl 1.33 "kubectl version --client" 'Client Version: v\([0-9.]*\)' "install kubectl, within one minor version of the cluster's"
  check_tool helm 3.14 "helm version --short" 'v\([0-9.]*\)' "install Helm 3.14 or newer"
  check_python
  check_builder
  check_tree
}

# check_tool NAME MINIMUM COMMAND PATTERN FIX
check_tool() {
  local said version
  if ! command -v "$1" >/dev/null; then
    bad "tool $1" "is not on PATH" "$5"
    return
  fi
  said=$($3 2>&1 || true)
  version=$(sed -n "s#.*$4.*#\1#p" <<<"$said" | head -n 1)
  if [ -z "$version" ]; then
    warn "tool $1" "does not tell its version: $(head -n 1 <<<"$said")" "$5"
  elif [ "$(printf '%s\n%s\n' "$2" "$version" | sort -V | head -n 1)" = "$2" ]; then
    pass "tool $1" "$version"
  else
    warn "tool $1" "is $version; tested with $2 and newer" "$5"
  fi
}

check_python() {
  if own_python -c 'import sys
from importlib.util import find_spec
found = [find_spec(name) for name in ("msgspec", "botocore", "argon2", "nkeys")]
sys.exit(sys.version_info < (3, 11) or None in found)' 2>/dev/null; then
    pass "project Python" "$PYTHON"
  else
    bad "project Python" "$PYTHON is missing, too old, or lacks the project's packages" \
      "python3.11 -m venv .venv && .venv/bin/pip install '.[auth]', or make setup; or set PYTHON"
  fi
}

# What images.sh would refuse, told before a cluster is made; images that are in ECR need none of it.
check_builder() {
  local fix="or build them on another machine: up ends where it needs them, with the command for that"
  if ! command -v docker >/dev/null; then
    if command -v podman >/dev/null; then
      pass "image builder" podman
    else
      warn "image builder" "neither docker nor podman is on PATH" "install one, $fix"
    fi
  elif ! docker buildx version >/dev/null 2>&1; then
    warn "image builder" "docker has no buildx, which builds for several platforms" "install it, $fix"
  elif ! docker info >/dev/null 2>&1; then
    warn "image builder" "the Docker daemon cannot be reached" "start it, or join the group docker, $fix"
  else
    pass "image builder" docker
  fi
}

check_tree() {
  local changes
  if ! changes=$(git -C "$ROOT" status --porcelain 2>/dev/null); then
    warn "working tree" "$ROOT is no git repository, and images are named after a commit" \
      "clone the project with git, or give --image-tag of images that are in ECR"
  elif [ -n "$changes" ]; then
    warn "working tree" "has changes that are not committed ($(wc -l <<<"$changes") files), and images are named after a commit" \
      "commit them, or give --image-tag of images that are in ECR"
  else
    pass "working tree" "nothing that is not committed"
  fi
}

# --- the account ---------------------------------------------------------------------------------------

check_credentials() {
  if [ -z "$REGION" ]; then REGION=$(aws configure get region 2>/dev/null || true); fi
  if [ -z "$REGION" ]; then
    bad "region" "none is given" "give --region, or set AWS_REGION"
    return 1
  fi
  export AWS_REGION=$REGION AWS_DEFAULT_REGION=$REGION
  if ! try sts get-caller-identity --query '[Account,Arn]'; then
    bad "credentials" "$REFUSAL" "aws sts get-caller-identity has to work"
    return 1
  fi
  read -r ACCOUNT CALLER <<<"$ANSWER"
  PARTITION=$(cut -d: -f2 <<<"$CALLER")
  if [ "$PARTITION" != "$(partition_of "$REGION")" ]; then
    bad "credentials" "are of the partition $PARTITION, and $REGION is in $(partition_of "$REGION")" \
      "take credentials of that partition: China has accounts of its own"
    return 1
  fi
  if [[ $CALLER == *:root ]]; then
    warn "credentials" "are the root user's of $ACCOUNT" "take a role or user: EKS gives the cluster to whoever makes it"
  else
    pass "credentials" "$CALLER"
  fi
}

# One cheap question to each service tells whether the region has it and whether we may read there.
check_services() {
  check_service cloudformation list-stacks --max-items 1
  check_service eks list-clusters --max-items 1
  check_service ecr describe-repositories --max-items 1
  check_service secretsmanager list-secrets --max-items 1
  check_service sagemaker list-endpoints --max-items 1
  check_service elbv2 describe-load-balancers --max-items 1
}

check_service() {
  if try "$@"; then
    pass "service $1" "answers in $REGION"
  else
    bad "service $1" "$REFUSAL" "choose a region that has it, or get the right to call $1:${2}"
  fi
}

# What `up` does that an account's restrictions most often forbid.
RIGHTS="cloudformation:CreateChangeSet cloudformation:ExecuteChangeSet ec2:CreateVpc ec2:CreateNatGateway
eks:CreateCluster eks:CreateNodegroup iam:CreateRole iam:PutRolePolicy iam:PassRole ecr:CreateRepository ecr:PutImage
kms:CreateKey secretsmanager:CreateSecret secretsmanager:GetSecretValue s3:CreateBucket logs:CreateLogGroup
cloudwatch:PutMetricAlarm sagemaker:CreateModel sagemaker:CreateEndpoint sagemaker:InvokeEndpoint"

check_rights() {
  local source=$CALLER denied
  case $CALLER in
    *:root) pass "rights" "the root user may do everything" && return ;;
    *:assumed-role/*)
      # The ARN of a session lacks the role's path, which the simulation needs.
      if ! try iam get-role --role-name "$(cut -d/ -f2 <<<"$CALLER")" --query Role.Arn; then
        warn "rights" "were not checked: $REFUSAL" "docs/deploy.md lists what is needed; up names what it lacks when it gets there"
        return
      fi
      source=$ANSWER ;;
  esac
  # shellcheck disable=SC2086  # a list of words
  if ! try iam simulate-principal-policy --policy-source-arn "$source" --action-names $RIGHTS \
    --query "EvaluationResults[?EvalDecision!='allowed'].EvalActionName"; then
    warn "rights" "were not checked: $REFUSAL" "docs/deploy.md lists what is needed; up names what it lacks when it gets there"
    return
  fi
  denied=$(tr '\t\n' '  ' <<<"$ANSWER" | sed 's/ *$//')
  if [ -n "$denied" ]; then
    bad "rights" "denied: $denied" "let an administrator add them (docs/deploy.md lists what is needed)"
  else
    pass "rights" "$(wc -w <<<"$RIGHTS") actions that up needs are allowed"
  fi
}

# --- quotas --------------------------------------------------------------------------------------------

check_quotas() {
  local cpus=4 zones=1
  case $PRESET in ha) cpus=12 zones=3 ;; esac
  check_quota "quota vCPU" ec2 L-1216C47A "$cpus" "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"
  if [ "$PRESET" = spot ]; then
    check_quota "quota spot vCPU" ec2 L-34B43A08 4 "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests"
  fi
  if [ -z "$VPC" ] && ! is_deployed network; then
    check_used_quota "quota VPC" vpc L-F678F1CE 1 "VPCs per Region" ec2 describe-vpcs --query 'length(Vpcs)'
    check_used_quota "quota address" ec2 L-0263D0A3 "$zones" "EC2-VPC Elastic IPs" ec2 describe-addresses --query 'length(Addresses)'
  fi
  if [ -z "$ENDPOINT" ]; then check_instance_quota; fi
}

is_deployed() {
  try cloudformation describe-stacks --stack-name "$NAME-$1" --query 'Stacks[0].StackStatus'
}

# quota SERVICE CODE: its value in ANSWER; where the account has none of its own, AWS's default.
quota() {
  try service-quotas get-service-quota --service-code "$1" --quota-code "$2" --query Quota.Value \
    || try service-quotas get-aws-default-service-quota --service-code "$1" --quota-code "$2" --query Quota.Value
}

at_least() { awk -v have="$1" -v need="$2" 'BEGIN { exit !(have + 0 >= need + 0) }'; }

# check_quota CHECK SERVICE CODE NEEDED TITLE
check_quota() {
  if ! quota "$2" "$3"; then
    warn "$1" "was not checked: $REFUSAL" "look at '$5' in the Service Quotas console: $4 are needed"
  elif at_least "$ANSWER" "$4"; then
    pass "$1" "${ANSWER%.0} of which $4 are needed"
  else
    bad "$1" "is ${ANSWER%.0}, and $4 are needed" "ask for more of '$5' in the Service Quotas console ($2, $3)"
  fi
}

# check_used_quota CHECK SERVICE CODE NEEDED TITLE COMMAND...: the same, less what is in use.
check_used_quota() {
  local check=$1 service=$2 code=$3 needed=$4 title=$5 have
  shift 5
  if ! quota "$service" "$code"; then
    warn "$check" "was not checked: $REFUSAL" "look at '$title' in the Service Quotas console: $needed more are needed"
    return
  fi
  have=${ANSWER%.0}
  if ! try "$@"; then
    warn "$check" "was not checked: $REFUSAL" "$needed more than are in use have to fit into $have"
  elif at_least "$have" "$((ANSWER + needed))"; then
    pass "$check" "$ANSWER of $have are in use, and $needed more are needed"
  else
    bad "$check" "$ANSWER of $have are in use, and $needed more are needed" \
      "delete one, or ask for more of '$title' in the Service Quotas console ($service, $code)"
  fi
}

# SageMaker's quotas have a code for each instance type; the name is what tells them apart.
check_instance_quota() {
  local title="$INSTANCE_TYPE for endpoint usage"
  if ! try service-quotas list-service-quotas --service-code sagemaker --query "Quotas[?QuotaName=='$title'].Value"; then
    warn "quota endpoint" "was not checked: $REFUSAL" "look at '$title' in the Service Quotas console: 1 is needed, 2 for updates"
  elif [ -z "$ANSWER" ]; then
    warn "quota endpoint" "the region lists none named '$title'" "choose another --instance-type if SageMaker refuses this one"
  elif ! at_least "$ANSWER" 1; then
    bad "quota endpoint" "'$title' is ${ANSWER%.0}" "ask for 2 in the Service Quotas console (SageMaker); new accounts mostly have 0"
  elif ! at_least "$ANSWER" 2; then
    warn "quota endpoint" "'$title' is ${ANSWER%.0}" "ask for 2: an update runs the old and the new instance side by side"
  else
    pass "quota endpoint" "'$title' is ${ANSWER%.0}"
  fi
}

# --- the region and the network ------------------------------------------------------------------------

check_china() {
  [[ $REGION == cn-* ]] || return 0
  warn "ICP filing" "a site that the public in mainland China reaches needs an ICP filing of its domain; ports 80 and 443 stay closed without" \
    "file through the operator of the region (Sinnet for Beijing, NWCD for Ningxia), or serve on an internal address only"
  local registry repository
  for registry in KEDA_REGISTRY METRICS_REGISTRY; do
    if [ -z "${!registry:-}" ]; then
      warn "$registry" "is not set, and the charts' own registries are slow or closed from China" \
        "copy the images to a registry of yours and set $registry to it (docs/deploy.md, China)"
    fi
  done
  for repository in nats natsio/nats-server-config-reloader; do
    if has_images "$repository"; then
      pass "image $repository" "is in ECR"
    else
      warn "image $repository" "is not in ECR" "up copies it there; where it does not reach Docker Hub, set BASE_REGISTRY (images.sh --help)"
    fi
  done
}

# The endpoint's image is the one that needs mirrors to be built there, and up builds it late.
check_endpoint_image() {
  [[ $REGION == cn-* && -z $ENDPOINT ]] || return 0
  if has_images "$NAME-endpoint"; then
    pass "image endpoint" "is in ECR"
  else
    warn "image endpoint" "is not in ECR, and needs mirrors to be built" \
      "before up: python -m deploy image --name $NAME-endpoint --build-arg ... (docs/deploy-endpoint.md, China)"
  fi
}

has_images() { try ecr describe-images --repository-name "$1" --query 'imageDetails[].imageDigest' && [ -n "$ANSWER" ]; }

# check_subnets SUBNETS --given|--made: zones, room and the tags that load balancers are placed by.
check_subnets() {
  local zones free
  # shellcheck disable=SC2086  # a list with commas, made one with blanks
  if ! try ec2 describe-subnets --subnet-ids ${1//,/ } \
    --query 'Subnets[].[SubnetId,VpcId,AvailabilityZone,AvailableIpAddressCount]'; then
    bad "subnets" "$REFUSAL" "name private subnets that exist, with commas between them"
    return
  fi
  if [ -n "$VPC" ] && [ "$(awk '{ print $2 }' <<<"$ANSWER" | sort -u)" != "$VPC" ]; then
    bad "subnets" "are not all in $VPC" "name subnets of that VPC"
    return
  fi
  zones=$(awk '{ print $3 }' <<<"$ANSWER" | sort -u | wc -l)
  if [ "$zones" -lt 2 ]; then
    bad "subnets" "are in one zone" "EKS needs subnets in two zones at least, and three NATS need three"
  elif [ "$zones" -lt 3 ] && [ "$PRESET" = ha ]; then
    bad "subnets" "are in two zones" "the preset ha spreads its three NATS over three zones"
  else
    pass "subnets" "$(wc -l <<<"$ANSWER") in $zones zones"
  fi
  free=$(awk '$4 < 64 { print $1 }' <<<"$ANSWER")
  if [ -n "$free" ]; then
    warn "addresses" "less than 64 are free in $(tr '\n' ' ' <<<"$free")" "every pod has one: take larger subnets"
  fi
  check_subnet_tags
}

check_subnet_tags() {
  local vpc role
  vpc=${VPC:-$(awk 'NR == 1 { print $2 }' <<<"$ANSWER")}
  for role in elb internal-elb; do
    if ! try ec2 describe-subnets --filters "Name=vpc-id,Values=$vpc" "Name=tag:kubernetes.io/role/$role,Values=1" \
      --query 'length(Subnets)'; then
      warn "tag $role" "was not checked: $REFUSAL" "subnets for load balancers need the tag kubernetes.io/role/$role = 1"
    elif [ "$ANSWER" = 0 ]; then
      bad "tag $role" "no subnet of $vpc has the tag kubernetes.io/role/$role" \
        "aws ec2 create-tags --resources SUBNETS --tags Key=kubernetes.io/role/$role,Value=1 ($([ "$role" = elb ] && echo the public ones || echo the private ones))"
    else
      pass "tag $role" "$ANSWER subnets of $vpc have it"
    fi
  done
}
