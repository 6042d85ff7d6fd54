{{/*
The NetworkPolicy of pods. Takes a list: the root context, the name of the policy, its labels, and the labels that select
the pods. A fifth item makes it allow no ingress, for pods without an admin endpoint.
*/}}
{{- define "protobridge.networkPolicy" -}}
{{- $root := index . 0 }}
{{- $name := index . 1 }}
{{- $labels := index . 2 }}
{{- $selector := index . 3 }}
{{- $policy := $root.Values.networkPolicy }}
{{- /* The ports of the configuration's endpoints, except 443. */}}
{{- $ports := list (include "protobridge.redisPort" $root) }}
{{- range list (dig "aws" "endpoint_url" "" $root.Values.config) (dig "aws" "sqs_endpoint_url" "" $root.Values.config) (dig "aws" "sns_endpoint_url" "" $root.Values.config) (dig "aws" "s3_endpoint_url" "" $root.Values.config) (dig "confluent" "registry_url" "" $root.Values.config) (dig "traces" "otlp_endpoint" "" $root.Values.config) }}
{{- if . }}{{ $ports = append $ports (include "protobridge.port" .) }}{{ end }}
{{- end }}
{{- $ports = without (compact $ports | uniq) "443" }}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ $name | quote }}
  namespace: {{ $root.Release.Namespace | quote }}
  labels:
    {{- $labels | nindent 4 }}
  {{- with include "protobridge.annotations" (list $root nil) }}
  {{- . | nindent 2 }}
  {{- end }}
spec:
  podSelector:
    matchLabels:
      {{- $selector | nindent 6 }}
  policyTypes: ["Ingress", "Egress"]
  {{- if gt (len .) 4 }}
  ingress: []
  {{- else }}
  ingress:
    - from:
        - podSelector:
            matchLabels:
              {{- include "protobridge.nameLabels" $root | nindent 14 }}
              app.kubernetes.io/component: "test"
        {{- with $policy.adminFrom }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - protocol: "TCP"
          port: "admin"
    {{- with $policy.extraIngress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
  egress:
    {{- with $policy.dnsTo }}
    - to:
        {{- toYaml . | nindent 8 }}
      ports:
        - protocol: "UDP"
          port: 53
        - protocol: "TCP"
          port: 53
    {{- end }}
    - ports:
        - protocol: "TCP"
          port: 443
      {{- with $policy.httpsTo }}
      to:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- with $ports }}
    - ports:
        {{- range . }}
        - protocol: "TCP"
          port: {{ . }}
        {{- end }}
    {{- end }}
    {{- if $root.Values.aws.podIdentity.enabled }}
    {{- /* The agent of EKS Pod Identity on the node. */}}
    - to:
        - ipBlock:
            cidr: "169.254.170.23/32"
        - ipBlock:
            cidr: "fd00:ec2::23/128"
      ports:
        - protocol: "TCP"
          port: 80
    {{- end }}
    {{- with $policy.extraEgress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
