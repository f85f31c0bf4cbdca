{{/* Peers and ports of the NetworkPolicies. */}}

{{/* Pods of this release by their components; takes (dict "root" $ "components" (list "nats")). */}}
{{- define "whisper-webui.peers" -}}
{{- range .components }}
- podSelector:
    matchLabels:
      {{- include "whisper-webui.selectorLabels" (dict "root" $.root "component" .) | nindent 6 }}
{{- end }}
{{- end }}

{{/* All pods of the namespace with this name. */}}
{{- define "whisper-webui.namespacePeer" -}}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ . }}
{{- end }}

{{/* Networks, given as a list. */}}
{{- define "whisper-webui.networkPeers" -}}
{{- range . }}
- ipBlock:
    cidr: {{ . }}
{{- end }}
{{- end }}

{{/* The way to DNS servers. */}}
{{- define "whisper-webui.dnsEgress" -}}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: kube-system
      podSelector:
        matchLabels:
          k8s-app: kube-dns
    {{- with include "whisper-webui.networkPeers" .Values.networkPolicy.dnsCidrs | trim }}
    {{- . | nindent 4 }}
    {{- end }}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end }}

{{/* The way to NATS, the release's own or another. */}}
{{- define "whisper-webui.natsEgress" -}}
- ports:
    - {protocol: TCP, port: {{ include "whisper-webui.natsPort" . }}}
  {{- if .Values.nats.enabled }}
  to:
    {{- include "whisper-webui.peers" (dict "root" . "components" (list "nats")) | trim | nindent 4 }}
  {{- else if .Values.networkPolicy.natsPeers }}
  to:
    {{- toYaml .Values.networkPolicy.natsPeers | nindent 4 }}
  {{- end }}
{{- end }}

{{/* The way to the collector of traces, where the component sends any; takes (dict "root" $ "component" "gateway"). */}}
{{- define "whisper-webui.collectorEgress" -}}
{{- with (index .root.Values.services .component).env.OTEL_EXPORTER_OTLP_ENDPOINT }}
{{- $url := urlParse . }}
- ports:
    - {protocol: TCP, port: {{ regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) }}}
  {{- with $.root.Values.networkPolicy.collectorPeers }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Port of the first server in NATS_URL. */}}
{{- define "whisper-webui.natsPort" -}}
{{- $first := include "whisper-webui.natsUrl" . | splitList "," | first -}}
{{- regexFind ":[0-9]+$" $first | trimPrefix ":" | default "4222" -}}
{{- end }}

{{/* The way to AWS, and to the agent that hands out credentials on each node. */}}
{{- define "whisper-webui.awsEgress" -}}
- to:
    {{- include "whisper-webui.networkPeers" .Values.networkPolicy.awsCidrs | trim | nindent 4 }}
  ports:
    - {protocol: TCP, port: 443}
{{- if eq .Values.aws.identity "pod-identity" }}
- to:
    - ipBlock: {cidr: 169.254.170.23/32}
    - ipBlock: {cidr: "fd00:ec2::23/128"}
  ports:
    - {protocol: TCP, port: 80}
{{- end }}
{{- end }}

{{/* The way of webhooks: the public internet as services/gateway/destinations.py has it, and what the operator names. */}}
{{- define "whisper-webui.webhookEgress" -}}
- to:
    - ipBlock:
        cidr: 0.0.0.0/0
        except:
          - 0.0.0.0/8
          - 10.0.0.0/8
          - 100.64.0.0/10
          - 127.0.0.0/8
          - 168.63.129.16/32
          - 169.254.0.0/16
          - 172.16.0.0/12
          - 192.0.0.0/24
          - 192.0.2.0/24
          - 192.88.99.0/24
          - 192.168.0.0/16
          - 198.18.0.0/15
          - 198.51.100.0/24
          - 203.0.113.0/24
          - 224.0.0.0/4
          - 240.0.0.0/4
    - ipBlock:
        cidr: "2000::/3"
        except: ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"]
    {{- with .Values.services.gateway.env.WEBHOOK_NETWORKS }}
    {{- range splitList "," . }}
    - ipBlock:
        cidr: {{ trim . | quote }}
    {{- end }}
    {{- end }}
  ports:
    - {protocol: TCP, port: 80}
    - {protocol: TCP, port: 443}
    - {protocol: TCP, port: 1024, endPort: 65535}
{{- end }}

{{/* Who may connect to gateways from outside the release. */}}
{{- define "whisper-webui.gatewayClients" -}}
{{- if .Values.loadBalancer.enabled }}
{{- include "whisper-webui.networkPeers" (concat .Values.loadBalancer.sourceRanges .Values.networkPolicy.vpcCidrs | uniq) }}
{{- else if .Values.ingress.enabled }}
{{- if eq .Values.ingress.className "nginx" }}
{{ include "whisper-webui.namespacePeer" .Values.ingress.controllerNamespace }}
{{- else }}
{{- include "whisper-webui.networkPeers" .Values.networkPolicy.vpcCidrs }}
{{- end }}
{{- end }}
{{- end }}

{{/* The head of a component's policy; takes (dict "root" $ "component" "gateway"). */}}
{{- define "whisper-webui.policyHead" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "whisper-webui.componentName" . }}
  labels:
    {{- include "whisper-webui.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "whisper-webui.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end }}
