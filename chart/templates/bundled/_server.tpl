{{/* Common parts of the bundled servers of all engines. */}}

{{- define "switchyard.serverMetadata" -}}
name: {{ .db.bundled.name }}
labels: {{- include "switchyard.labels" (dict "root" .root "component" "database" "alias" .alias) | nindent 2 }}
{{- end -}}

{{/* The checks of kube-score and checkov that do not hold for a server. The others have their reasons here or beside the field. */}}
{{- define "switchyard.serverExceptions" -}}
# The images run as user 999. No client needs the name of the one pod, so its Service keeps an address instead of being headless.
kube-score/ignore: container-security-context-user-group-id,statefulset-has-servicename
checkov.io/skip1: CKV_K8S_8=A restart by a liveness probe repairs nothing that the server does not repair itself, and interrupts a recovery.
checkov.io/skip2: CKV_K8S_35=The entrypoints of the images and the roles scripts read the passwords from the environment.
checkov.io/skip3: CKV_K8S_40=The files of the official images belong to user 999.
{{- end -}}

{{/*
A server reads its scripts and its Secrets only when it starts, so a changed checksum restarts it.
Arguments: root, alias, scripts, secrets.
*/}}
{{- define "switchyard.serverPodMetadata" -}}
{{- $text := "" -}}
{{- range .scripts }}{{ $text = cat $text ($.root.Files.Get (printf "files/%s" .)) }}{{ end -}}
labels: {{- include "switchyard.selectorLabels" (dict "root" .root "component" "database" "alias" .alias) | nindent 2 }}
annotations:
  checksum/scripts: {{ sha256sum $text }}
  checksum/secrets: {{ include "switchyard.secretsChecksum" (list .root .secrets) }}
{{- end -}}

{{/* Arguments: root, scripts. */}}
{{- define "switchyard.scriptsVolume" -}}
configMap:
  name: {{ include "switchyard.fullname" .root }}-scripts
  defaultMode: 0555
  items:
    {{- range .scripts }}
    - {key: {{ . }}, path: {{ . }}}
    {{- end }}
{{- end -}}

{{/*
The server's certificate and key, and for a replica the authority of its owner. PostgreSQL takes a key of root that its group may
read, and the volume belongs to root and to the group of `fsGroup`. Argument: model of the alias.
*/}}
{{- define "switchyard.tlsVolume" -}}
projected:
  defaultMode: 0440
  sources:
    - secret:
        name: {{ .bundled.certificate }}
        items:
          - {key: tls.crt, path: tls.crt}
          - {key: tls.key, path: tls.key}
    {{- if .replicaOf }}
    - secret:
        name: {{ .bundled.ownerCertificate }}
        items:
          - {key: ca.crt, path: primary.crt}
    {{- end }}
{{- end -}}

{{/* A variable with the value of one key of a Secret. Argument: list of variable, Secret, key. */}}
{{- define "switchyard.secretEnv" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef: {name: {{ index . 1 }}, key: {{ index . 2 }}}
{{- end -}}

{{/* The variables with the passwords that a server reads. Argument: list of the model of the alias, variable of the superuser's. */}}
{{- define "switchyard.passwordsEnv" -}}
{{- $superuser := index . 1 -}}
{{- range $role, $at := (index . 0).bundled.passwords }}
{{ include "switchyard.secretEnv" (list (eq $role "superuser" | ternary $superuser (printf "%s_PASSWORD" (upper $role))) $at.secret $at.key) }}
{{- end }}
{{- end -}}

{{- define "switchyard.dataClaim" -}}
metadata:
  name: data
spec:
  accessModes: [ReadWriteOnce]
  {{- with .className }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests: {storage: {{ .size }}}
{{- end -}}
