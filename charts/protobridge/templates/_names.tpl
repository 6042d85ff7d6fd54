{{/* Names, labels and what several templates have to agree on. */}}

{{- define "protobridge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 63 characters, because the Service is called so, and a Service's name is a DNS label. */}}
{{- define "protobridge.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* What never changes in the life of a release: a Deployment's selector cannot. */}}
{{- define "protobridge.nameLabels" -}}
app.kubernetes.io/name: {{ include "protobridge.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* The pods of the service, and not that of `helm test`. */}}
{{- define "protobridge.selectorLabels" -}}
{{ include "protobridge.nameLabels" . }}
app.kubernetes.io/component: "bridge"
{{- end }}

{{- define "protobridge.releaseLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{- end }}

{{/* All labels of an object, with its own, which are the second of the list. What selectors ask for cannot be replaced. */}}
{{- define "protobridge.labels" -}}
{{- $root := index . 0 }}
{{- $fixed := include "protobridge.selectorLabels" $root | fromYaml }}
{{- $own := default (dict) (index . 1) }}
{{- $release := include "protobridge.releaseLabels" $root | fromYaml }}
{{- toYaml (merge $fixed $own $root.Values.commonLabels $release) }}
{{- end }}

{{/* Labels of the service's pods: without the chart's version, because a new chart alone is no reason to restart them. */}}
{{- define "protobridge.podLabels" -}}
{{- $fixed := include "protobridge.selectorLabels" . | fromYaml }}
{{- $version := include "protobridge.releaseLabels" . | fromYaml }}
{{- toYaml (merge $fixed .Values.podLabels .Values.commonLabels (pick $version "app.kubernetes.io/version")) }}
{{- end }}

{{/* Annotations of an object: those of all, and its own, which is the second of the list. */}}
{{- define "protobridge.annotations" -}}
{{- $all := merge (dict) (default (dict) (index . 1)) (index . 0).Values.commonAnnotations }}
{{- with $all }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "protobridge.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "protobridge.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* An image's reference, from {repository, tag, digest} and the default of the tag. */}}
{{- define "protobridge.reference" -}}
{{- $image := index . 0 }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository (default (index . 1) $image.tag) }}
{{- end }}
{{- end }}

{{- define "protobridge.image" -}}
{{- include "protobridge.reference" (list .Values.image .Chart.AppVersion) }}
{{- end }}

{{/* Where things are in the container. */}}
{{- define "protobridge.path.config" -}}/etc/protobridge/config{{- end }}
{{- define "protobridge.path.customers" -}}/etc/protobridge/customers{{- end }}
{{- define "protobridge.path.descriptors" -}}/etc/protobridge/descriptors{{- end }}

{{/* The configuration file: the values, and where the chart mounts what they name. */}}
{{- define "protobridge.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $descriptors := merge (dict "path" (include "protobridge.path.descriptors" .)) (default (dict) $config.descriptors) }}
{{- $file := printf "%s/customers.yaml" (include "protobridge.path.customers" .) }}
{{- $route := merge (dict "customers_file" $file) (default (dict) $config.route) }}
{{- toYaml (merge (dict "descriptors" $descriptors "route" $route) $config) }}
{{- end }}

{{- define "protobridge.customers" -}}
{{- toYaml (dict "customers" .Values.customers.inline) }}
{{- end }}

{{/* The service's own default is 25, too. */}}
{{- define "protobridge.drainTimeout" -}}
{{- dig "shutdown" "drain_timeout_seconds" 25 .Values.config | int64 }}
{{- end }}

{{/* After the drain the service takes up to 8 seconds to give messages back and to send its last spans. */}}
{{- define "protobridge.leastGracePeriod" -}}
{{- add (include "protobridge.drainTimeout" .) 10 }}
{{- end }}

{{- define "protobridge.gracePeriod" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds }}
{{- include "protobridge.leastGracePeriod" . }}
{{- else }}
{{- int64 .Values.terminationGracePeriodSeconds }}
{{- end }}
{{- end }}

{{- define "protobridge.listen" -}}
{{- dig "admin" "listen" "0.0.0.0:8080" .Values.config }}
{{- end }}

{{- define "protobridge.adminPort" -}}
{{- include "protobridge.listen" . | regexFind "[0-9]+$" | default "0" }}
{{- end }}

{{- define "protobridge.scaled" -}}
{{- if or .Values.autoscaling.hpa.enabled .Values.autoscaling.keda.enabled }}true{{ end }}
{{- end }}

{{/* Where the sets come from: the names of all sources that are given, joined by a blank. */}}
{{- define "protobridge.descriptorSources" -}}
{{- $d := .Values.descriptors }}
{{- $sources := list }}
{{- if $d.inline }}{{ $sources = append $sources "inline" }}{{ end }}
{{- if $d.existingConfigMap }}{{ $sources = append $sources "existingConfigMap" }}{{ end }}
{{- if $d.persistentVolumeClaim.claimName }}{{ $sources = append $sources "persistentVolumeClaim" }}{{ end }}
{{- if $d.image.reference }}{{ $sources = append $sources "image" }}{{ end }}
{{- if $d.s3.uri }}{{ $sources = append $sources "s3" }}{{ end }}
{{- join " " $sources }}
{{- end }}

{{- define "protobridge.customerSources" -}}
{{- $c := .Values.customers }}
{{- $sources := list }}
{{- if $c.inline }}{{ $sources = append $sources "inline" }}{{ end }}
{{- if $c.existingConfigMap.name }}{{ $sources = append $sources "existingConfigMap" }}{{ end }}
{{- if $c.persistentVolumeClaim.claimName }}{{ $sources = append $sources "persistentVolumeClaim" }}{{ end }}
{{- join " " $sources }}
{{- end }}

{{/* Base64 without the line breaks that `base64` puts in. */}}
{{- define "protobridge.base64" -}}
{{- regexReplaceAll "\\s" . "" }}
{{- end }}

{{/* Bytes of all inline sets. */}}
{{- define "protobridge.inlineBytes" -}}
{{- $bytes := 0 }}
{{- range .Values.descriptors.inline }}
{{- $bytes = add $bytes (len (b64dec (include "protobridge.base64" .))) }}
{{- end }}
{{- $bytes }}
{{- end }}

{{/* The region of a queue, from the configuration or else its URL; empty where neither says it. */}}
{{- define "protobridge.region" -}}
{{- $region := dig "aws" "region" "" (index . 0).Values.config }}
{{- default (regexReplaceAll "^https?://sqs[.-]([a-z0-9-]+)\\.amazonaws\\..*$|^.*$" (index . 1) "${1}") $region }}
{{- end }}

{{/* The port of a URL, named or that of its scheme. */}}
{{- define "protobridge.port" -}}
{{- $url := urlParse . }}
{{- $ports := dict "http" "80" "https" "443" "redis" "6379" "rediss" "6379" "valkey" "6379" "valkeys" "6379" }}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (get $ports $url.scheme) | default "443" }}
{{- end }}

{{/* Whether a variable of extraEnv has the name that is the second of the list. */}}
{{- define "protobridge.hasVariable" -}}
{{- $name := index . 1 }}
{{- range (index . 0).Values.extraEnv }}{{ if eq .name $name }}true{{ end }}{{ end }}
{{- end }}

{{/* The port of Redis; empty where the configuration has none. */}}
{{- define "protobridge.redisPort" -}}
{{- $url := dig "dedupe" "redis_url" "" .Values.config }}
{{- if .Values.networkPolicy.redisPort }}
{{- int64 .Values.networkPolicy.redisPort }}
{{- else if $url }}
{{- include "protobridge.port" $url }}
{{- end }}
{{- end }}

{{- define "protobridge.sharesWindow" -}}
{{- $url := dig "dedupe" "redis_url" "" .Values.config }}
{{- if or $url (include "protobridge.hasVariable" (list . "PROTOBRIDGE_DEDUPE_REDIS_URL")) }}true{{ end }}
{{- end }}

{{/* Whether there can be more than one pod at work. */}}
{{- define "protobridge.mayBeSeveral" -}}
{{- $most := int64 .Values.replicaCount }}
{{- if .Values.autoscaling.hpa.enabled }}{{ $most = int64 .Values.autoscaling.hpa.maxReplicas }}{{ end }}
{{- if .Values.autoscaling.keda.enabled }}{{ $most = int64 .Values.autoscaling.keda.maxReplicaCount }}{{ end }}
{{- if gt $most 1 }}true{{ end }}
{{- end }}
