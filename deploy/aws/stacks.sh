# CloudFormation stacks: what state they are in, changing them by change sets, and deleting them.
# shellcheck shell=bash

# Kept as tags of the stacks, so that `up` without options leaves things as they are.
REMEMBERED="preset endpoint certificate domain own_vpc own_subnets scheme identity scale_to_zero value_files"

# own_stacks: those of this name as a query; the stacks of a deployment NAME-two begin with NAME-, too.
own_stacks() { printf "Stacks[?StackName=='%s'||StackName=='%s'||StackName=='%s']" "$NAME-network" "$NAME-cluster" "$NAME-app"; }

# read_stacks: one look at all stacks of this name; sets STACKS, lines of "name state".
read_stacks() {
  local lines tag query
  query="$(own_stacks).[StackName,StackStatus"
  for tag in $REMEMBERED; do query+=",Tags[?Key=='whisper-$tag']|[0].Value"; done
  lines=$(ask cloudformation describe-stacks --query "$query]")
  STACKS=$lines
}

state_of() { awk -v stack="$1" '$1 == stack { print $2 }' <<<"$STACKS"; }

# remembered WHAT: what an earlier run was told, or nothing.
remembered() {
  local position=3 tag
  for tag in $REMEMBERED; do
    if [ "$tag" = "$1" ]; then break; fi
    position=$((position + 1))
  done
  awk -v position="$position" '$position != "" && $position != "None" { print $position; exit }' <<<"$STACKS"
}

stack_state() {
  ask_unless 'does not exist' cloudformation describe-stacks --stack-name "$1" --query 'Stacks[0].StackStatus'
}

# settle STACK: wait until AWS is through with it; prints the state it ends in.
settle() {
  local state last='' until
  until=$((SECONDS + WAIT_MINUTES * 60))
  while :; do
    state=$(stack_state "$1")
    case $state in
      REVIEW_IN_PROGRESS | *_COMPLETE | *_FAILED | "") break ;;
    esac
    if [ "$state" != "$last" ]; then say "   $1: $state"; fi
    last=$state
    [ "$SECONDS" -lt "$until" ] \
      || fail "$1 is still $state after $WAIT_MINUTES minutes. AWS goes on: run the same command again to follow it"
    sleep "$POLL_SECONDS"
  done
  note "$1: ${state:-gone}"
  printf '%s\n' "$state"
}

# prepare STACK: bring it from whatever an earlier run left to where it can change; prints CREATE or UPDATE.
prepare() {
  local stack=$1 state undone=
  while :; do
    state=$(settle "$stack")
    case $state in
      "" | DELETE_COMPLETE) echo CREATE && return ;;
      CREATE_COMPLETE | UPDATE_COMPLETE | UPDATE_ROLLBACK_COMPLETE | IMPORT_COMPLETE | IMPORT_ROLLBACK_COMPLETE)
        echo UPDATE && return ;;
      REVIEW_IN_PROGRESS | ROLLBACK_COMPLETE | ROLLBACK_FAILED | CREATE_FAILED)
        say "   $stack is $state: it never came up, so it is deleted and made anew"
        ask cloudformation delete-stack --stack-name "$stack"
        state=$(settle "$stack")
        [ "$state" != DELETE_FAILED ] || fail "$stack cannot be deleted: $(reasons "$stack")" ;;
      UPDATE_ROLLBACK_FAILED)
        [ -z "$undone" ] || fail "$stack cannot go back to what it was: $(reasons "$stack"). Mend that, or name what to leave out: aws cloudformation continue-update-rollback --stack-name $stack --resources-to-skip LOGICAL_ID"
        undone=yes
        say "   $stack is $state: AWS is asked to go on with going back"
        ask cloudformation continue-update-rollback --stack-name "$stack" ;;
      DELETE_FAILED)
        fail "$stack is half deleted: $(reasons "$stack"). Run deploy/aws/down first" ;;
      *) fail "$stack is in the state $state, which this command does not know" ;;
    esac
  done
}

# reasons STACK: what CloudFormation says went wrong, newest first; consequences of other failures are left out.
reasons() {
  local found
  found=$(ask cloudformation describe-stack-events --stack-name "$1" --max-items 100 \
    --query "StackEvents[?contains(ResourceStatus,'FAILED')&&ResourceStatusReason!=null&&!contains(ResourceStatusReason,'cancelled')].[LogicalResourceId,ResourceStatusReason]" || true)
  if [ -z "$found" ]; then found="CloudFormation gives no reason"; fi
  head -n 3 <<<"$found" | sed 's/\t/: /; s/[. ]*$//' | paste -sd ';' | sed 's/;/; /g'
}

# parameters TEMPLATE MODE NAME=VALUE...: as a JSON file, for those of them that the template has. What is not
# given keeps its value in a stack that exists.
parameters() {
  local template=$1 mode=$2 known name pair value separator=''
  shift 2
  known=$(sed -n '/^Parameters:/,/^[A-Z][a-z]*:$/s/^  \([A-Za-z0-9]*\):.*/\1/p' "$template")
  printf '['
  for name in $known; do
    value=
    for pair in "$@"; do
      if [ "${pair%%=*}" = "$name" ]; then value=${pair#*=}; fi
    done
    if [ -n "$value" ]; then
      printf '%s{"ParameterKey":"%s","ParameterValue":%s}' "$separator" "$name" "$(json_string "$value")"
    elif [ "$mode" = UPDATE ] && grep -qw "$name" <<<"$HAS_PARAMETERS"; then
      printf '%s{"ParameterKey":"%s","UsePreviousValue":true}' "$separator" "$name"
    else
      continue
    fi
    separator=,
  done
  printf ']\n'
}

# tags: those that make a stack ours, and what it was made with.
tags() {
  local tag value
  printf '[{"Key":"application","Value":"whisper-webui"}'
  for tag in $REMEMBERED; do
    value=${tag^^}
    value=${!value:-}
    value=${value//,/+} # AWS allows no commas in tags
    if [ -n "$value" ]; then printf ',{"Key":"whisper-%s","Value":%s}' "$tag" "$(json_string "$value")"; fi
  done
  printf ']\n'
}

# put_stack STACK TEMPLATE NAME=VALUE...: make it, or change it where it differs.
put_stack() {
  local stack=$1 template=$2 mode change state
  shift 2
  mode=$(prepare "$stack")
  rm -f "$WORK/outputs.$stack" # what was read before is of before
  HAS_PARAMETERS=
  if [ "$mode" = UPDATE ]; then
    HAS_PARAMETERS=$(ask cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].Parameters[].ParameterKey')
  fi
  parameters "$template" "$mode" "$@" >"$WORK/parameters.json"
  tags >"$WORK/tags.json"
  change=up-$(date -u +%Y%m%d%H%M%S)
  ask cloudformation create-change-set --stack-name "$stack" --change-set-name "$change" --change-set-type "$mode" \
    --template-body "file://$template" --parameters "file://$WORK/parameters.json" --tags "file://$WORK/tags.json" \
    --capabilities CAPABILITY_IAM CAPABILITY_NAMED_IAM --query Id >>"$LOG"
  compare "$stack" "$change"
  if [ -z "$DIFFERS" ]; then
    say "   $stack: no change"
    return
  fi
  if [ "$mode" = UPDATE ]; then confirm_losses "$stack" "$change"; fi
  ask cloudformation execute-change-set --stack-name "$stack" --change-set-name "$change"
  state=$(settle "$stack")
  case $state in
    CREATE_COMPLETE | UPDATE_COMPLETE) say "   $stack: $state" ;;
    *) fail "$stack ended in ${state:-nothing}: $(reasons "$stack"). Mend that and run the same command again: it goes on where it was" ;;
  esac
}

# compare STACK CHANGE: wait until CloudFormation has; DIFFERS says whether there is anything to do.
compare() {
  local found state reason
  DIFFERS=yes
  while :; do
    found=$(ask cloudformation describe-change-set --stack-name "$1" --change-set-name "$2" --query '[Status,StatusReason]')
    state=${found%%$'\t'*}
    reason=${found#*$'\t'}
    case $state in
      CREATE_COMPLETE) return ;;
      FAILED) break ;;
    esac
    sleep "$POLL_SECONDS"
  done
  ask cloudformation delete-change-set --stack-name "$1" --change-set-name "$2"
  case $reason in
    *"didn't contain changes"* | *"No updates are to be performed"*) DIFFERS='' ;;
    *) fail "CloudFormation refuses the change of $1: $reason" ;;
  esac
}

# confirm_losses STACK CHANGE: ask before something that exists is removed or replaced.
confirm_losses() {
  local lost
  lost=$(ask cloudformation describe-change-set --stack-name "$1" --change-set-name "$2" \
    --query "Changes[?ResourceChange.Action=='Remove'||ResourceChange.Replacement=='True'].ResourceChange.[Action,LogicalResourceId,ResourceType]")
  if [ -z "$lost" ]; then return 0; fi
  say "   CloudFormation will remove or replace these of $1:"
  say "$lost"
  confirm "Is that wanted?" && return
  ask cloudformation delete-change-set --stack-name "$1" --change-set-name "$2"
  fail "$1 was left as it is"
}

# delete_stack STACK: and wait until it is gone.
delete_stack() {
  local state
  state=$(settle "$1")
  if [ -z "$state" ]; then
    say "   $1: is gone"
    return
  fi
  ask cloudformation delete-stack --stack-name "$1"
  state=$(settle "$1")
  case $state in
    "" | DELETE_COMPLETE) say "   $1: deleted" ;;
    *) fail "$1 cannot be deleted: $(reasons "$1"). Mend that and run the same command again" ;;
  esac
}

# output STACK KEY: one of its outputs; nothing where there is none.
output() {
  local file=$WORK/outputs.$1
  if [ ! -e "$file" ]; then
    ask_unless 'does not exist' cloudformation describe-stacks --stack-name "$1" \
      --query 'Stacks[0].Outputs[].[OutputKey,OutputValue]' >"$file.part"
    mv "$file.part" "$file"
  fi
  awk -F '\t' -v key="$2" '$1 == key { print $2 }' "$file"
}

# needed_output STACK KEY: the same, where going on without it makes no sense.
needed_output() {
  local value
  value=$(output "$1" "$2")
  [ -n "$value" ] || fail "stack $1 has no output $2: is deploy/aws/cloudformation of the same version as this command?"
  printf '%s\n' "$value"
}
