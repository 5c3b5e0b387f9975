{{/* What the pods of the API, of the Jobs and of the test share. */}}

{{- define "placement.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 42424
  runAsGroup: 42424
  fsGroup: 42424
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "placement.container" -}}
image: {{ include "placement.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The settings as variables, for pods that may run before the ConfigMap is there. */}}
{{- define "placement.settings" -}}
{{- $env := list -}}
{{- range $name, $value := .Values.settings -}}
{{- $env = append $env (dict "name" $name "value" $value) -}}
{{- end -}}
{{- with $env -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* Secrets are read from files, where a `$` is a `$`. The path names the Secret and its key, so that
     the container's own message about a file that is not there does, too. */}}
{{- define "placement.secretSettings" -}}
{{- $env := list -}}
{{- range $name, $secret := .Values.secretSettings -}}
{{- $path := printf "/etc/placement/secrets/%s/%s" $secret.name $secret.key -}}
{{- $env = append $env (dict "name" (printf "%s_FILE" $name) "value" $path) -}}
{{- end -}}
{{- with $env -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{- define "placement.extraEnv" -}}
{{- with .Values.extraEnv -}}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{- define "placement.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- if .Values.secretSettings }}
- name: secrets
  mountPath: /etc/placement/secrets
  readOnly: true
{{- end }}
{{- if .Values.keystoneCaSecret }}
- name: keystone-ca
  mountPath: /etc/placement/keystone-ca
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Each key of a Secret that a setting comes from, once, as JSON. */}}
{{- define "placement.keys" -}}
{{- $keys := list -}}
{{- range $_, $secret := .Values.secretSettings -}}
{{- $keys = append $keys $secret -}}
{{- end -}}
{{- $keys | uniq | toJson -}}
{{- end -}}

{{/* The volumes of `list . OPTIONAL`. A pod of the Deployment waits until its Secrets are there. A Job
     has an end, so there they are optional: it starts without one and its log says which. */}}
{{- define "placement.volumes" -}}
{{- $root := first . -}}
{{- $optional := last . -}}
- name: tmp
  emptyDir: {}
{{- with $root.Values.secretSettings }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $secret := include "placement.keys" $root | fromJsonArray }}
      - secret:
          name: {{ $secret.name | quote }}
          {{- if $optional }}
          optional: true
          {{- end }}
          items:
            - key: {{ $secret.key | quote }}
              path: {{ printf "%s/%s" $secret.name $secret.key | quote }}
      {{- end }}
{{- end }}
{{- with $root.Values.keystoneCaSecret }}
- name: keystone-ca
  secret:
    secretName: {{ . | quote }}
    {{- if $optional }}
    optional: true
    {{- end }}
{{- end }}
{{- with $root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
