{{/* The volumes of the service and of the Jobs. What the service reads from a bucket needs no volume. */}}

{{- define "protobridge.mounts" -}}
- name: "config"
  mountPath: {{ include "protobridge.path.config" . | quote }}
  readOnly: true
{{- if not (include "protobridge.bucket.customers" .) }}
- name: "customers"
  mountPath: {{ include "protobridge.path.customers" . | quote }}
  readOnly: true
{{- end }}
{{- if not (include "protobridge.bucket.descriptors" .) }}
- name: "descriptors"
  mountPath: {{ include "protobridge.path.descriptors" . | quote }}
  readOnly: true
{{- end }}
{{- if .Values.store.volume }}
- name: "store"
  mountPath: {{ include "protobridge.storeFolder" . | quote }}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{- define "protobridge.volumes" -}}
- name: "config"
  configMap:
    name: {{ printf "%s-config" (include "protobridge.fullname" .) | quote }}
{{- if not (include "protobridge.bucket.customers" .) }}
- name: "customers"
  {{- include "protobridge.customersVolume" . | nindent 2 }}
{{- end }}
{{- if not (include "protobridge.bucket.descriptors" .) }}
- name: "descriptors"
  {{- include "protobridge.descriptorsVolume" . | nindent 2 }}
{{- end }}
{{- with .Values.store.volume }}
- name: "store"
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.extraVolumes }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{- define "protobridge.customersVolume" -}}
{{- $c := .Values.customers }}
{{- if $c.persistentVolumeClaim.claimName -}}
persistentVolumeClaim:
  claimName: {{ $c.persistentVolumeClaim.claimName | quote }}
  readOnly: true
{{- else if $c.existingConfigMap.name -}}
configMap:
  name: {{ $c.existingConfigMap.name | quote }}
  items:
    - key: {{ $c.existingConfigMap.key | quote }}
      path: "customers.yaml"
{{- else -}}
configMap:
  name: {{ printf "%s-customers" (include "protobridge.fullname" .) | quote }}
{{- end }}
{{- end }}

{{- define "protobridge.descriptorsVolume" -}}
{{- $d := .Values.descriptors }}
{{- if $d.image.reference -}}
image:
  reference: {{ $d.image.reference | quote }}
  pullPolicy: {{ $d.image.pullPolicy | quote }}
{{- else if $d.persistentVolumeClaim.claimName -}}
persistentVolumeClaim:
  claimName: {{ $d.persistentVolumeClaim.claimName | quote }}
  readOnly: true
{{- else if $d.existingConfigMap -}}
configMap:
  name: {{ $d.existingConfigMap | quote }}
{{- else -}}
configMap:
  name: {{ printf "%s-descriptors" (include "protobridge.fullname" .) | quote }}
{{- end }}
{{- end }}
