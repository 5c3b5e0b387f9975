{{/* The name of the Deployment and its Service: the Helm release's, with the chart's unless it is in there. */}}
{{- define "placement.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name -}}
{{- end -}}
{{- end -}}

{{/* The name of one more object, of `list . SUFFIX`: what is too long is cut before the suffix. */}}
{{- define "placement.nameWith" -}}
{{- $suffix := printf "-%s" (last .) -}}
{{- printf "%s%s" (include "placement.fullname" (first .) | trunc (sub 63 (len $suffix) | int) | trimSuffix "-") $suffix -}}
{{- end -}}

{{/* What selects all pods of this Helm release. */}}
{{- define "placement.instanceLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* What selects the pods of `list . COMPONENT`; a Deployment's selector can never change. */}}
{{- define "placement.selectorLabels" -}}
{{ include "placement.instanceLabels" (first .) }}
app.kubernetes.io/component: {{ last . }}
{{- end -}}

{{/* The labels of every object of `list . COMPONENT`. */}}
{{- define "placement.labels" -}}
{{- $root := first . -}}
{{ include "placement.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The labels of the pods of `list . COMPONENT`: none that a new version of the chart would change. */}}
{{- define "placement.podLabels" -}}
{{- $root := first . -}}
{{ include "placement.selectorLabels" . }}
{{- with merge (dict) ($root.Values.podLabels | default dict) ($root.Values.commonLabels | default dict) }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "placement.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "placement.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "placement.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository .Values.image.tag -}}
{{- end -}}
{{- end -}}

{{/* Connections to the database of one process: the pool, and what it may exceed it by; both are
     the number of threads unless a setting says otherwise (shared/startup/server.py). */}}
{{- define "placement.connectionsOfAProcess" -}}
{{- $pool := get .Values.settings "OS_PLACEMENT_DATABASE__MAX_POOL_SIZE" | default .Values.threads -}}
{{- $overflow := get .Values.settings "OS_PLACEMENT_DATABASE__MAX_OVERFLOW" | default .Values.threads -}}
{{- add (int $pool) (int $overflow) -}}
{{- end -}}

{{/* Where every pod may go, where a NetworkPolicy says so. */}}
{{- define "placement.egress" -}}
# Names
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- with .Values.networkPolicy.egress }}
{{ toYaml . }}
{{- end }}
{{- end -}}
