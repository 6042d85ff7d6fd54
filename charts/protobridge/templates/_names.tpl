{{/* Names, labels and other definitions that several templates share. */}}

{{- define "protobridge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* At most 63 characters, because the Service has this name, and the name of a Service is a DNS label. */}}
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

{{/* Labels that never change during the life of a release, because the selector of a Deployment is immutable. */}}
{{- define "protobridge.nameLabels" -}}
app.kubernetes.io/name: {{ include "protobridge.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Selects the pods of the service, but not the pod of `helm test`. */}}
{{- define "protobridge.selectorLabels" -}}
{{ include "protobridge.nameLabels" . }}
app.kubernetes.io/component: "bridge"
{{- end }}

{{/* The name of the prober's objects: at most 63 characters, because its Service has this name. */}}
{{- define "protobridge.canaryName" -}}
{{- printf "%s-canary" (include "protobridge.fullname" . | trunc 56 | trimSuffix "-") }}
{{- end }}

{{/* Selects the pod of the prober, which no selector of the service matches. */}}
{{- define "protobridge.canarySelectorLabels" -}}
{{ include "protobridge.nameLabels" . }}
app.kubernetes.io/component: "canary"
{{- end }}

{{- define "protobridge.releaseLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{- end }}

{{/*
All labels of an object. Takes a list: the root context and the object's own labels. These cannot replace the labels that
selectors use.
*/}}
{{- define "protobridge.labels" -}}
{{- $root := index . 0 }}
{{- $fixed := include "protobridge.selectorLabels" $root | fromYaml }}
{{- $own := default (dict) (index . 1) }}
{{- $release := include "protobridge.releaseLabels" $root | fromYaml }}
{{- toYaml (merge $fixed $own $root.Values.commonLabels $release) }}
{{- end }}

{{/* Like protobridge.labels, for an object of the prober. */}}
{{- define "protobridge.canaryLabels" -}}
{{- $labels := include "protobridge.labels" . | fromYaml }}
{{- toYaml (set $labels "app.kubernetes.io/component" "canary") }}
{{- end }}

{{/* The scrape settings of a monitor, without its port. */}}
{{- define "protobridge.scrape" -}}
path: "/metrics"
{{- with .interval }}
interval: {{ . | quote }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . | quote }}
{{- end }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Labels of the service's pods. They omit the chart's version, so that a new chart does not restart the pods. */}}
{{- define "protobridge.podLabels" -}}
{{- $fixed := include "protobridge.selectorLabels" . | fromYaml }}
{{- $version := include "protobridge.releaseLabels" . | fromYaml }}
{{- toYaml (merge $fixed .Values.podLabels .Values.commonLabels (pick $version "app.kubernetes.io/version")) }}
{{- end }}

{{/* All annotations of an object. Takes a list: the root context and the object's own annotations. */}}
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

{{/* The reference of an image. Takes a list: {repository, tag, digest} and the default tag. */}}
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

{{/* Paths in the container. */}}
{{- define "protobridge.path.config" -}}/etc/protobridge/config{{- end }}
{{- define "protobridge.path.customers" -}}/etc/protobridge/customers{{- end }}
{{- define "protobridge.path.descriptors" -}}/etc/protobridge/descriptors{{- end }}

{{/* The URLs of the sets and of the customers file in a bucket; empty if they have another source. */}}
{{- define "protobridge.bucket.descriptors" -}}{{ dig "s3" "uri" "" .Values.descriptors }}{{- end }}
{{- define "protobridge.bucket.customers" -}}{{ dig "s3" "uri" "" .Values.customers }}{{- end }}

{{/* The places of the sets and of the customers file: a URL in a bucket, or where the chart mounts their volume. */}}
{{- define "protobridge.place.descriptors" -}}
{{- include "protobridge.bucket.descriptors" . | default (include "protobridge.path.descriptors" .) }}
{{- end }}
{{- define "protobridge.place.customers" -}}
{{- $mounted := printf "%s/customers.yaml" (include "protobridge.path.customers" .) }}
{{- include "protobridge.bucket.customers" . | default $mounted }}
{{- end }}

{{/* The configuration file: `config`, plus the places of descriptor sets and customers. */}}
{{- define "protobridge.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $path := dict "path" (include "protobridge.place.descriptors" .) }}
{{- $descriptors := merge $path (default (dict) $config.descriptors) }}
{{- $file := dict "customers_file" (include "protobridge.place.customers" .) }}
{{- $route := merge $file (default (dict) $config.route) }}
{{- toYaml (merge (dict "descriptors" $descriptors "route" $route) $config) }}
{{- end }}

{{- define "protobridge.customers" -}}
{{- $file := dict "customers" .Values.customers.inline }}
{{- with .Values.customers.removed }}{{ $_ := set $file "removed" . }}{{ end }}
{{- toYaml $file }}
{{- end }}

{{/* The default of the service is also 25. */}}
{{- define "protobridge.drainTimeout" -}}
{{- dig "shutdown" "drain_timeout_seconds" 25 .Values.config | int64 }}
{{- end }}

{{/* After the drain, the service needs up to 8 seconds to make messages visible again and to send its last spans. */}}
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

{{/* The names of all sources of descriptor sets that are set, separated by spaces. */}}
{{- define "protobridge.descriptorSources" -}}
{{- $d := .Values.descriptors }}
{{- $sources := list }}
{{- if $d.inline }}{{ $sources = append $sources "inline" }}{{ end }}
{{- if $d.existingConfigMap }}{{ $sources = append $sources "existingConfigMap" }}{{ end }}
{{- if $d.persistentVolumeClaim.claimName }}{{ $sources = append $sources "persistentVolumeClaim" }}{{ end }}
{{- if $d.image.reference }}{{ $sources = append $sources "image" }}{{ end }}
{{- if include "protobridge.bucket.descriptors" . }}{{ $sources = append $sources "s3" }}{{ end }}
{{- join " " $sources }}
{{- end }}

{{- define "protobridge.customerSources" -}}
{{- $c := .Values.customers }}
{{- $sources := list }}
{{- if $c.inline }}{{ $sources = append $sources "inline" }}{{ end }}
{{- if $c.existingConfigMap.name }}{{ $sources = append $sources "existingConfigMap" }}{{ end }}
{{- if $c.persistentVolumeClaim.claimName }}{{ $sources = append $sources "persistentVolumeClaim" }}{{ end }}
{{- if include "protobridge.bucket.customers" . }}{{ $sources = append $sources "s3" }}{{ end }}
{{- join " " $sources }}
{{- end }}

{{/* Base64 text without the line breaks that `base64` inserts. */}}
{{- define "protobridge.base64" -}}
{{- regexReplaceAll "\\s" . "" }}
{{- end }}

{{/* The total size of the inline sets, in bytes. */}}
{{- define "protobridge.inlineBytes" -}}
{{- $bytes := 0 }}
{{- range .Values.descriptors.inline }}
{{- $bytes = add $bytes (len (b64dec (include "protobridge.base64" .))) }}
{{- end }}
{{- $bytes }}
{{- end }}

{{/* The size of the configuration and of the files beside it, in bytes. */}}
{{- define "protobridge.configBytes" -}}
{{- $bytes := len (include "protobridge.config" .) }}
{{- range .Values.configFiles }}{{ $bytes = add $bytes (len .) }}{{ end }}
{{- $bytes }}
{{- end }}

{{/* The size of the inline customers, in bytes. */}}
{{- define "protobridge.customersBytes" -}}
{{- if .Values.customers.inline }}{{ len (include "protobridge.customers" .) }}{{ else }}0{{ end }}
{{- end }}

{{/*
The bytes that the inline values take of the room in Helm's record of the release. A customers file counts by half,
because even a file of random ids compresses to less than that.
*/}}
{{- define "protobridge.recordBytes" -}}
{{- add (include "protobridge.inlineBytes" . | int64) (include "protobridge.configBytes" . | int64) (div (add (include "protobridge.customersBytes" . | int64) 1) 2) }}
{{- end }}

{{/*
The room for inline values in Helm's record of a release, in bytes. The record is one Secret, of at most 1,048,576
bytes. It has the chart, the values and the manifests as JSON, first compressed and then in base64, so at most 786,432
bytes after the compression. The chart takes 105,000 of them. A set is in the values and in a manifest, each time in
base64, and a compressed set then takes 1.03 times its size. tests/chart/refusals.py computes the record with sets of
this size: it fills nine tenths of the Secret.
*/}}
{{- define "protobridge.recordRoom" -}}
300000
{{- end }}

{{/*
The region of a queue, from the configuration, else from the URL; empty if neither has it. Takes a list: the root context and
the URL.
*/}}
{{- define "protobridge.region" -}}
{{- $region := dig "aws" "region" "" (index . 0).Values.config }}
{{- default (regexReplaceAll "^https?://sqs[.-]([a-z0-9-]+)\\.amazonaws\\..*$|^.*$" (index . 1) "${1}") $region }}
{{- end }}

{{/* The port of a URL; without one, the default port of its scheme. */}}
{{- define "protobridge.port" -}}
{{- $url := urlParse . }}
{{- $ports := dict "http" "80" "https" "443" "redis" "6379" "rediss" "6379" "valkey" "6379" "valkeys" "6379" }}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (get $ports $url.scheme) | default "443" }}
{{- end }}

{{/* Whether extraEnv has a variable. Takes a list: the root context and the name of the variable. */}}
{{- define "protobridge.hasVariable" -}}
{{- $name := index . 1 }}
{{- /* The variable with _FILE appended names a file with the value. */}}
{{- range (index . 0).Values.extraEnv }}{{ if or (eq .name $name) (eq .name (printf "%s_FILE" $name)) }}true{{ end }}{{ end }}
{{- end }}

{{/* The port of Redis; empty if neither the values nor the configuration name one. */}}
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

{{/* Whether more than one pod can run at a time. */}}
{{- define "protobridge.mayBeSeveral" -}}
{{- $most := int64 .Values.replicaCount }}
{{- if .Values.autoscaling.hpa.enabled }}{{ $most = int64 .Values.autoscaling.hpa.maxReplicas }}{{ end }}
{{- if .Values.autoscaling.keda.enabled }}{{ $most = int64 .Values.autoscaling.keda.maxReplicaCount }}{{ end }}
{{- if gt $most 1 }}true{{ end }}
{{- end }}

{{/* The folder of the store; empty if the store is a bucket, or if there is none. */}}
{{- define "protobridge.storeFolder" -}}
{{- $url := dig "store" "url" "" .Values.config | default "" }}
{{- if hasPrefix "file://" $url }}{{ trimPrefix "file://" $url | clean }}{{ end }}
{{- end }}
