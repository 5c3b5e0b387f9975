{{/* The name of the Deployment and the Service: the name of the Helm release, with the chart's name appended
     unless it already contains that. */}}
{{- define "placement.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name -}}
{{- end -}}
{{- end -}}

{{/* The name of another object, from `list . SUFFIX`. */}}
{{- define "placement.suffixedName" -}}
{{- include "placement.shortenedName" (append . 63) -}}
{{- end -}}

{{/* The name of a CronJob, from `list . SUFFIX`. Kubernetes appends 11 characters to it for each Job. */}}
{{- define "placement.cronJobName" -}}
{{- include "placement.shortenedName" (append . 52) -}}
{{- end -}}

{{/* A name of at most LIMIT characters, from `list . SUFFIX LIMIT`. The suffix stays whole. */}}
{{- define "placement.shortenedName" -}}
{{- $suffix := printf "-%s" (index . 1) -}}
{{- printf "%s%s" (include "placement.fullname" (first .) | trunc (sub (last .) (len $suffix) | int) | trimSuffix "-") $suffix -}}
{{- end -}}

{{/* The release that is deployed: the tag of the image. */}}
{{- define "placement.version" -}}
{{- .Values.image.tag | default .Chart.AppVersion -}}
{{- end -}}

{{- define "placement.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (include "placement.version" .) -}}
{{- end -}}
{{- end -}}

{{/* Labels that select all pods of this Helm release. */}}
{{- define "placement.instanceLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* Labels that select the pods of one component, from `list . COMPONENT`. They must never change, because
     the selector of a Deployment is immutable. */}}
{{- define "placement.selectorLabels" -}}
{{ include "placement.instanceLabels" (first .) }}
app.kubernetes.io/component: {{ last . }}
{{- end -}}

{{/* Labels of every object, from `list . COMPONENT`. A tag may be longer than a label's value. */}}
{{- define "placement.labels" -}}
{{- $root := first . -}}
{{ include "placement.selectorLabels" . }}
app.kubernetes.io/version: {{ include "placement.version" $root | trunc 63 | trimAll "-_." | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of pods, from `list . COMPONENT LABELS`. They contain no version, so that a new chart alone restarts no
     pod. */}}
{{- define "placement.podLabels" -}}
{{- $root := first . -}}
{{ include "placement.selectorLabels" (list $root (index . 1)) }}
{{- with merge (dict) (last . | default dict) ($root.Values.commonLabels | default dict) }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The entries of a map that are not null, as JSON. Helm keeps the null of a name that the chart does not have. */}}
{{- define "placement.withoutNull" -}}
{{- $kept := dict -}}
{{- range $name, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $kept $name $value -}}
{{- end -}}
{{- end -}}
{{- $kept | toJson -}}
{{- end -}}

{{/* The scheme that the pods serve. */}}
{{- define "placement.scheme" -}}
{{- ternary "https" "http" (not (empty .Values.tls.podSecret)) -}}
{{- end -}}

{{/* The URL of the Service inside the cluster. */}}
{{- define "placement.url" -}}
{{- printf "%s://%s.%s.svc:%v" (include "placement.scheme" .) (include "placement.fullname" .) .Release.Namespace .Values.service.port -}}
{{- end -}}

{{/* The hosts of the Ingress, as a JSON list of {host, tlsSecret}; empty without an Ingress. */}}
{{- define "placement.ingressHosts" -}}
{{- $hosts := list -}}
{{- if .Values.ingress.enabled -}}
{{- $hosts = prepend (.Values.ingress.extraHosts | default list) (pick .Values.ingress "host" "tlsSecret") -}}
{{- end -}}
{{- $hosts | toJson -}}
{{- end -}}

{{- define "placement.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "placement.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{/* Database connections that one process may open: its pool and the overflow of the pool. The image sets
     both to the number of threads unless a setting overrides them. */}}
{{- define "placement.connectionsPerProcess" -}}
{{- $pool := get .Values.settings "OS_PLACEMENT_DATABASE__MAX_POOL_SIZE" | default .Values.threads -}}
{{- $overflow := get .Values.settings "OS_PLACEMENT_DATABASE__MAX_OVERFLOW" | default .Values.threads -}}
{{- add (int $pool) (int $overflow) -}}
{{- end -}}

{{/* Egress rules of every pod. */}}
{{- define "placement.egress" -}}
# DNS; OpenShift's pods use port 5353.
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
    - port: 5353
      protocol: UDP
    - port: 5353
      protocol: TCP
  {{- with .Values.networkPolicy.dns }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- with .Values.networkPolicy.egress }}
{{ toYaml . }}
{{- end }}
{{- end -}}
