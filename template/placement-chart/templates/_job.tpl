{{/* The components of the Jobs that run before the pods are replaced, in their order, as a JSON list. */}}
{{- define "placement.firstJobs" -}}
{{- $settings := include "placement.withoutNull" .Values.settings | fromJson -}}
{{- $jobs := list -}}
{{- if ne .Values.migrations.mode "none" -}}
{{- if .Values.database.adminSecret -}}
{{- $jobs = append $jobs "create-database" -}}
{{- end -}}
{{- if .Values.keystoneAdminSecret -}}
{{- $jobs = append $jobs "register" -}}
{{- end -}}
{{- if ne .Values.database.backend "sqlite" -}}
{{- $jobs = append $jobs "db-sync" -}}
{{- else if eq (get $settings "OS_API__AUTH_STRATEGY") "keystone" -}}
{{- $jobs = append $jobs "check-keystone" -}}
{{- end -}}
{{- end -}}
{{- $jobs | toJson -}}
{{- end -}}

{{/* A Job that runs before the pods are replaced, as a Helm hook or as a plain Job, from `dict "root" .
     "component" COMPONENT "command" SHELL "weight" WEIGHT "secrets" SECRETS "variables" VARIABLES`. The optional
     SECRETS are for this Job alone, in the form of secretSettings, and VARIABLES in that of `env`. Argo CD reads the
     weight as a sync wave. */}}
{{- define "placement.firstJob" -}}
{{- $hook := eq .root.Values.migrations.mode "hook" -}}
{{- $job := include "placement.job" (set . "hook" $hook) -}}
{{- /* A Job is immutable, so a plain Job with another spec needs another name. */ -}}
{{- $suffix := ternary .component (printf "%s-%s" .component (sha256sum $job | trunc 8)) $hook -}}
{{- /* The hook runs before Helm creates the other objects, so it uses none of them. The finished Job stays
       for its log. */ -}}
{{- $annotations := ternary (dict "helm.sh/hook" "pre-install,pre-upgrade" "helm.sh/hook-weight" .weight "helm.sh/hook-delete-policy" "before-hook-creation" "helm.sh/hook-output-log-policy" "hook-failed") dict $hook -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "placement.suffixedName" (list .root $suffix) | quote }}
  labels:
    {{- include "placement.labels" (list .root .component) | nindent 4 }}
  {{- with merge $annotations (.root.Values.migrations.annotations | default dict) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- $job | nindent 2 }}
{{- end -}}

{{/* What a Job needs of secretSettings, from `list . COMPONENT`, as JSON: not the passwords of a server that it does not
     use. The image refuses DATABASE_HOST without the other parts of a database URL, and an application credential
     without its secret. */}}
{{- define "placement.jobSecrets" -}}
{{- $secrets := include "placement.withoutNull" (first .).Values.secretSettings | fromJson -}}
{{- $database := "DATABASE_.*(CONNECTION|PASSWORD)$|MEMCACHE_SECRET_KEY$" -}}
{{- $keystone := "^OS_KEYSTONE_AUTHTOKEN__(PASSWORD|MEMCACHE_SECRET_KEY)$" -}}
{{- $unused := dict "create-database" $keystone "register" $database "rotate-credential" $database "zones" $database -}}
{{- if hasKey $unused (last .) -}}
{{- range $name := keys $secrets -}}
{{- if regexMatch (get $unused (last $)) $name -}}
{{- $secrets = omit $secrets $name -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $secrets -}}
{{- end -}}

{{/* The spec of a Job, from `dict "root" . "component" COMPONENT "command" SHELL "hook" BOOL "secrets" SECRETS
     "variables" VARIABLES "serviceAccount" NAME "mounts" MOUNTS "volumes" VOLUMES`. Instead of a command for the
     shell, it may have "args" ARGUMENTS for the image. Only a Job with a NAME may send requests to Kubernetes. */}}
{{- define "placement.job" -}}
{{- $secrets := merge (dict) (.secrets | default dict) (include "placement.jobSecrets" (list .root .component) | fromJson) -}}
{{- $root := set (omit .root "Values") "Values" (set (omit .root.Values "secretSettings") "secretSettings" $secrets) -}}
{{- $annotations := merge (dict) ($root.Values.migrations.podAnnotations | default dict) ($root.Values.podAnnotations | default dict) -}}
{{- $labels := merge (dict) ($root.Values.migrations.podLabels | default dict) ($root.Values.podLabels | default dict) -}}
{{- if .hook -}}
# The command itself waits for servers that are not ready, or reports them. So its failure ends the Job. One
# retry covers the loss of a node.
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
    {{- include "placement.pod" (set $root "serviceAccount" .serviceAccount) | nindent 4 }}
    containers:
      - name: {{ .component }}
        {{- with .args }}
        args: {{ toJson . }}
        {{- else }}
        command: [/bin/sh, -euc]
        args:
          - {{ .command | quote }}
        {{- end }}
        {{- include "placement.commandContainer" (list $root (concat (include "placement.workers" $root | fromYamlArray) (.variables | default list))) | nindent 8 }}
          {{- with .mounts }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
    volumes:
      {{- include "placement.volumes" (list $root .hook) | nindent 6 }}
      {{- with .volumes }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end -}}
