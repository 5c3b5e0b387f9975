{{/* Parts that the pods of the API, the Jobs and the test have in common. */}}

{{- define "placement.pod" -}}
automountServiceAccountToken: {{ not (empty .serviceAccount) }}
{{- with .serviceAccount }}
serviceAccountName: {{ . | quote }}
{{- end }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  {{- if not .Values.openshift }}
  runAsUser: 42424
  runAsGroup: 42424
  fsGroup: 42424
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
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

{{/* The settings as variables, for pods that may run before the ConfigMap exists. Kubernetes reads `$$` as
     `$` in a variable, but not in a ConfigMap. */}}
{{- define "placement.settings" -}}
{{- $env := list -}}
{{- range $name, $value := include "placement.withoutNull" .Values.settings | fromJson -}}
{{- $env = append $env (dict "name" $name "value" (replace "$" "$$" $value)) -}}
{{- end -}}
{{- toYaml $env -}}
{{- end -}}

{{/* The other variables of every container. Secrets are read from files, where `$` has no special meaning.
     The path contains the Secret and its key, so that an error about a missing file names both. */}}
{{- define "placement.env" -}}
{{- $env := list -}}
{{- if ne .Values.database.backend "sqlite" -}}
{{- $env = append $env (dict "name" "DATABASE_BACKEND" "value" .Values.database.backend) -}}
{{- end -}}
{{- range $name, $secret := include "placement.withoutNull" .Values.secretSettings | fromJson -}}
{{- $path := printf "/etc/placement/secrets/%s/%s" $secret.name $secret.key -}}
{{- $env = append $env (dict "name" (printf "%s_FILE" $name) "value" $path) -}}
{{- end -}}
{{- if .Values.keystoneCaSecret -}}
{{- $env = append $env (dict "name" "OS_KEYSTONE_AUTHTOKEN__CAFILE" "value" "/etc/placement/keystone-ca/ca.crt") -}}
{{- end -}}
{{- with concat $env (.Values.extraEnv | default list) -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* The processes and threads of a pod, which check-config compares with the limits of the database. */}}
{{- define "placement.workers" -}}
- name: UWSGI_PROCESSES
  value: {{ .Values.processes | quote }}
- name: UWSGI_THREADS
  value: {{ .Values.threads | quote }}
{{- end -}}

{{/* A container that runs a command instead of the server, from `list . VARIABLES`: everything except its name
     and command. The caller may add mounts. */}}
{{- define "placement.commandContainer" -}}
{{- $root := first . -}}
{{ include "placement.container" $root }}
env:
  {{- include "placement.settings" $root | nindent 2 }}
  {{- with include "placement.env" $root }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with last . }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $root.Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  {{- include "placement.mounts" $root | nindent 2 }}
{{- end -}}

{{/* The mount of the CA certificate that a client of the pods needs, and its volume. */}}
{{- define "placement.caMount" -}}
{{- if .Values.tls.podSecret -}}
- name: tls
  mountPath: /etc/placement/tls
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "placement.caVolume" -}}
{{- with .Values.tls.podSecret -}}
# Only the CA certificate, and only if the Secret has one.
- name: tls
  secret:
    secretName: {{ . | quote }}
    optional: true
    items:
      - key: ca.crt
        path: ca.crt
{{- end -}}
{{- end -}}

{{- define "placement.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- if include "placement.secretKeys" . | fromJsonArray }}
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

{{/* The distinct keys of Secrets in secretSettings, as a JSON list of {name, key}. */}}
{{- define "placement.secretKeys" -}}
{{- $keys := list -}}
{{- range $_, $secret := include "placement.withoutNull" .Values.secretSettings | fromJson -}}
{{- $keys = append $keys $secret -}}
{{- end -}}
{{- $keys | uniq | toJson -}}
{{- end -}}

{{/* A checksum of the Secrets that pods read when they start; empty without a cluster, as in `helm template`, and
     before the Secrets exist. Everybody who may read the Deployment sees it. The Secrets' uids, which only a
     reader of the Secrets knows, make it useless for guessing passwords. */}}
{{- define "placement.secretsChecksum" -}}
{{- $names := list -}}
{{- range include "placement.secretKeys" . | fromJsonArray -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- $names = append $names (dig "valueFrom" "secretKeyRef" "name" "" .) -}}
{{- end -}}
{{- range .Values.extraEnvFrom -}}
{{- $names = append $names (dig "secretRef" "name" "" .) -}}
{{- end -}}
{{- range .Values.extraVolumes -}}
{{- $names = append $names (dig "secret" "secretName" "" .) -}}
{{- end -}}
{{- $found := list -}}
{{- range $names | compact | uniq | sortAlpha -}}
{{- with lookup "v1" "Secret" $.Release.Namespace . -}}
{{- $found = append $found (list .metadata.uid .data) -}}
{{- end -}}
{{- end -}}
{{- with $found -}}
{{- toJson . | sha256sum -}}
{{- end -}}
{{- end -}}

{{/* The volumes of a pod, from `list . OPTIONAL`. A pod waits until its Secrets exist. With optional Secrets
     it starts without them, and its log names the missing one. */}}
{{- define "placement.volumes" -}}
{{- $root := first . -}}
{{- $optional := last . -}}
- name: tmp
  emptyDir:
    # Large requests and responses are files here while a client sends or receives them.
    sizeLimit: 2Gi
{{- with include "placement.secretKeys" $root | fromJsonArray }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $secret := . }}
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
