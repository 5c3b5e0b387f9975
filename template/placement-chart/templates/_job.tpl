{{/* The spec of a Job, of `dict "root" . "component" COMPONENT "command" SHELL "hook" BOOL`. */}}
{{- define "placement.job" -}}
{{- $root := .root -}}
{{- if .hook -}}
# Helm waits for it. What fails for a while is waited for inside; once more, should the node go away.
backoffLimit: 1
activeDeadlineSeconds: {{ $root.Values.migrations.activeDeadlineSeconds }}
{{- else -}}
# Its Secrets and its database may come after it.
backoffLimit: 20
{{- end }}
template:
  metadata:
    {{- with $root.Values.podAnnotations }}
    annotations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    labels:
      {{- include "placement.podLabels" (list $root .component) | nindent 6 }}
  spec:
    restartPolicy: Never
    {{- include "placement.pod" $root | nindent 4 }}
    containers:
      - name: {{ .component }}
        command: [/bin/sh, -euc]
        args:
          - {{ .command | quote }}
        {{- include "placement.otherContainer" $root | nindent 8 }}
    volumes:
      {{- include "placement.volumes" (list $root .hook) | nindent 6 }}
{{- end -}}
