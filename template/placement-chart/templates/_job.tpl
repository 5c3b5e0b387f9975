{{/* The component of the Job that runs before the pods are replaced; empty without such a Job. */}}
{{- define "placement.firstJob" -}}
{{- $settings := include "placement.withoutNull" .Values.settings | fromJson -}}
{{- if ne .Values.migrations.mode "none" -}}
{{- if ne .Values.database.backend "sqlite" -}}
db-sync
{{- else if eq (get $settings "OS_API__AUTH_STRATEGY") "keystone" -}}
check-keystone
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The spec of a Job, from `dict "root" . "component" COMPONENT "command" SHELL "hook" BOOL`. */}}
{{- define "placement.job" -}}
{{- $root := .root -}}
{{- $annotations := merge (dict) ($root.Values.migrations.podAnnotations | default dict) ($root.Values.podAnnotations | default dict) -}}
{{- $labels := merge (dict) ($root.Values.migrations.podLabels | default dict) ($root.Values.podLabels | default dict) -}}
{{- if .hook -}}
# The command itself waits for servers that are not ready, so its failure ends the Job. One retry covers the
# loss of a node.
backoffLimit: 1
podFailurePolicy:
  rules:
    - action: Ignore
      onPodConditions:
        - type: DisruptionTarget
          # kubectl and Argo CD require it.
          status: "True"
    - action: FailJob
      onExitCodes:
        operator: NotIn
        values: [0]
activeDeadlineSeconds: {{ $root.Values.migrations.activeDeadlineSeconds }}
{{- else -}}
# The Secrets and the database may be created after the Job.
backoffLimit: 20
{{- end }}
template:
  metadata:
    {{- with $annotations }}
    annotations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    labels:
      {{- include "placement.podLabels" (list $root .component $labels) | nindent 6 }}
  spec:
    restartPolicy: Never
    {{- include "placement.pod" $root | nindent 4 }}
    containers:
      - name: {{ .component }}
        command: [/bin/sh, -euc]
        args:
          - {{ .command | quote }}
        {{- include "placement.commandContainer" (list $root (include "placement.workers" $root | fromYamlArray)) | nindent 8 }}
    volumes:
      {{- include "placement.volumes" (list $root .hook) | nindent 6 }}
{{- end -}}
