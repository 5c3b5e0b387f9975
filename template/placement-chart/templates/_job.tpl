{{/* The spec of a Job, of `dict "root" . "component" COMPONENT "command" SHELL`. */}}
{{- define "placement.job" -}}
{{- $root := .root -}}
# What fails for a while is waited for inside; once more, should the node go away.
backoffLimit: 1
activeDeadlineSeconds: {{ $root.Values.migrations.activeDeadlineSeconds }}
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
        {{- include "placement.container" $root | nindent 8 }}
        command: [/bin/sh, -euc]
        args:
          - {{ .command | quote }}
        env:
          {{- include "placement.settings" $root | nindent 10 }}
          {{- with include "placement.secretSettings" $root }}
          {{- . | nindent 10 }}
          {{- end }}
          {{- with include "placement.extraEnv" $root }}
          {{- . | nindent 10 }}
          {{- end }}
        {{- with $root.Values.extraEnvFrom }}
        envFrom:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        volumeMounts:
          {{- include "placement.mounts" $root | nindent 10 }}
    volumes:
      {{- include "placement.volumes" (list $root true) | nindent 6 }}
{{- end -}}
