# What `up` is told, with what earlier runs were told: options, and the defaults that follow from them.
# shellcheck shell=bash

PRESET='' VPC='' SUBNETS='' API_ACCESS='' CERTIFICATE='' DOMAIN='' ENDPOINT='' INSTANCE_TYPE='' SCALE_TO_ZERO=''
IMAGE_TAG='' MONITORING='' PLAN='' FORCE='' SCHEME='' IDENTITY=${IDENTITY:-} VALUE_FILES='' NO_VALUES='' ALARM_EMAIL=''
VALUES=()

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help) show_help && exit 0 ;;
      --plan) PLAN=yes && shift && continue ;;
      --yes) YES=yes && shift && continue ;;
      --force) FORCE=yes && shift && continue ;;
      --with-monitoring) MONITORING=yes && shift && continue ;;
      --internal) SCHEME=internal && shift && continue ;;
      --internet-facing) SCHEME=internet-facing && shift && continue ;;
    esac
    [ $# -ge 2 ] || usage_error "$1 needs a value, or is no option"
    case $1 in
      --name) NAME=$2 ;;
      --region) REGION=$2 ;;
      --preset) PRESET=$2 ;;
      --vpc) VPC=$2 ;;
      --subnets) SUBNETS=$2 ;;
      --api-access) API_ACCESS=$2 ;;
      --certificate-arn) CERTIFICATE=$2 ;;
      --domain) DOMAIN=$2 ;;
      --endpoint) ENDPOINT=$2 ;;
      --instance-type) INSTANCE_TYPE=$2 ;;
      --scale-to-zero) SCALE_TO_ZERO=$2 ;;
      --image-tag) IMAGE_TAG=$2 ;;
      --alarm-email) ALARM_EMAIL=$2 ;;
      --values) if [ "$2" = none ]; then NO_VALUES=yes; else VALUES+=("$2"); fi ;;
      *) usage_error "there is no option $1" ;;
    esac
    shift 2
  done
  check_name
  check_preset
  [[ -z $ALARM_EMAIL || $ALARM_EMAIL =~ ^[^@[:space:]]+@[^@[:space:]]+\.[^@[:space:]]+$ ]] \
    || usage_error "--alarm-email '$ALARM_EMAIL' is no e-mail address"
  case $SCALE_TO_ZERO in "" | yes | no) ;; *) usage_error "--scale-to-zero '$SCALE_TO_ZERO' is neither yes nor no" ;; esac
  if [ -n "$VPC$SUBNETS" ] && { [ -z "$VPC" ] || [ -z "$SUBNETS" ]; }; then
    usage_error "--vpc and --subnets go together: the nodes' private subnets, in two zones at least"
  fi
  local file
  for file in "${VALUES[@]}"; do [ -r "$file" ] || usage_error "--values: there is no file $file"; done
}

# settle_options: what was not given is what an earlier run was told, else the default.
settle_options() {
  PRESET=${PRESET:-$(remembered preset)}
  if [ -z "$PRESET" ]; then PRESET=$(if in_china; then echo china; else echo small; fi); fi
  ENDPOINT=${ENDPOINT:-$(remembered endpoint)}
  OWN_ENDPOINT=$NAME-endpoint
  ENDPOINT=${ENDPOINT:-$OWN_ENDPOINT}
  check_servers
  OWN_VPC=${VPC:-$(remembered own_vpc)}
  OWN_SUBNETS=${SUBNETS:-$(remembered own_subnets)}
  VPC=$OWN_VPC SUBNETS=${OWN_SUBNETS//+/,}
  DOMAIN=${DOMAIN:-$(remembered domain)}
  CERTIFICATE=${CERTIFICATE:-$(remembered certificate)}
  if [ -n "$DOMAIN" ] && [ -z "$CERTIFICATE" ]; then find_certificate; fi
  if [ -n "$CERTIFICATE" ] && [[ $CERTIFICATE != arn:$PARTITION:acm:$REGION:* ]]; then
    usage_error "--certificate-arn $CERTIFICATE: a load balancer in $REGION takes certificates that begin with arn:$PARTITION:acm:$REGION:"
  fi
  SCHEME=${SCHEME:-$(remembered scheme)}
  SCHEME=${SCHEME:-internet-facing}
  IDENTITY=${IDENTITY:-$(remembered identity)}
  IDENTITY=${IDENTITY:-pod-identity}
  settle_values
  settle_scaling
  if [ "$PRESET" = ha ]; then MONITORING=yes; fi
  IMAGE_TAG=${IMAGE_TAG:-$(git -C "$ROOT" rev-parse --short=12 HEAD 2>/dev/null || echo latest)}
  CLUSTER=$NAME
}

# check_servers: one server of NATS does not become three on its volume, nor three one.
check_servers() {
  local before found
  before=$(remembered preset)
  if [ -z "$before" ] || [ "$(servers "$before")" = "$(servers "$PRESET")" ]; then return; fi
  found=$(output "$NAME-cluster" ClusterName)
  if [ -z "$found" ]; then return; fi
  use_cluster "$found"
  reach_cluster || fail "$(unreachable)"
  [ -z "$(kubectl get statefulset "$RELEASE-nats" --namespace "$NAMESPACE" --ignore-not-found --output name)" ] \
    || usage_error "--preset $PRESET: $NAME runs with the preset $before, and NATS with $(servers "$before") of its servers cannot take up the streams of $(servers "$PRESET"). Back up, deploy under another --name, restore (docs/nats.md)"
}

servers() { if [ "$1" = ha ]; then echo 3; else echo 1; fi; }

# settle_values: what earlier files have set, such as who may connect, is not to go back to the defaults unseen.
settle_values() {
  local file name before
  for file in "${VALUES[@]}"; do
    name=$(basename "$file" | tr -c 'A-Za-z0-9._\n-' _)
    VALUE_FILES+=${VALUE_FILES:+,}$name
  done
  before=$(remembered value_files)
  if [ -n "$NO_VALUES" ]; then return; fi
  for name in ${before//+/ }; do
    [[ ",$VALUE_FILES," == *",$name,"* ]] \
      || usage_error "$NAME was installed with --values $name, and what that sets would go back to its default. Give the file again, or --values none to do without"
  done
}

# settle_scaling: what the endpoint is; before there is one, what it is to be.
settle_scaling() {
  local is='' component state
  component=$(component_name)
  state=$(endpoint_state)
  if [ -n "$component" ]; then
    is=yes
  elif [ "$ENDPOINT" != "$OWN_ENDPOINT" ]; then
    is=no
  fi
  if [ -n "$is" ] && [ -n "$SCALE_TO_ZERO" ] && [ "$SCALE_TO_ZERO" != "$is" ]; then
    usage_error "--scale-to-zero $SCALE_TO_ZERO: $ENDPOINT exists and was made with $is. python -m deploy changes it (docs/deploy-endpoint.md), and up then goes by it"
  fi
  SCALE_TO_ZERO=${is:-${SCALE_TO_ZERO:-$(remembered scale_to_zero)}}
  if [ -n "$SCALE_TO_ZERO" ]; then return; fi
  case $PRESET in small | spot) SCALE_TO_ZERO=yes ;; *) SCALE_TO_ZERO=no ;; esac
  # Nobody knows whether China's regions take it.
  if [ -n "$state" ] || in_china; then SCALE_TO_ZERO=no; fi
}

find_certificate() {
  CERTIFICATE=$(ask acm list-certificates --certificate-statuses ISSUED \
    --includes keyTypes=RSA_2048,RSA_3072,RSA_4096,EC_prime256v1,EC_secp384r1,EC_secp521r1 \
    --query "CertificateSummaryList[?DomainName=='$DOMAIN'||DomainName=='*.${DOMAIN#*.}'||contains(SubjectAlternativeNameSummaries||\`[]\`,'$DOMAIN')||contains(SubjectAlternativeNameSummaries||\`[]\`,'*.${DOMAIN#*.}')].CertificateArn")
  read -r CERTIFICATE _ <<<"$CERTIFICATE"
  [ -n "$CERTIFICATE" ] || fail "ACM has no issued certificate for $DOMAIN in $REGION. Ask for one (aws acm request-certificate --domain-name $DOMAIN --validation-method DNS), add the record that ACM names to the domain, and run this again when it is ISSUED"
}
