{{/*
The parts that the pods of the service and of the worker have in common: their processes load the settings of the service.
Argument of each: dict with root, component and resources, which are those of the process.
*/}}

{{- define "switchyard.rollout" -}}
revisionHistoryLimit: 3
# A pod waits for the migrations, however long they take.
progressDeadlineSeconds: {{ add .root.Values.migrations.activeDeadlineSeconds 600 }}
strategy:
  type: RollingUpdate
  rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
selector:
  matchLabels: {{- include "switchyard.selectorLabels" . | nindent 4 }}
{{- end -}}

{{- define "switchyard.servicePodMetadata" -}}
{{- $secrets := list (include "switchyard.serviceSecretName" .root) -}}
{{- range include "switchyard.databases" .root | fromYaml -}}
{{- $secrets = append $secrets .users.app.secret -}}
{{- with .tls.ca -}}
{{- $secrets = append $secrets .name -}}
{{- end -}}
{{- end -}}
labels:
  {{- include "switchyard.selectorLabels" . | nindent 2 }}
  {{- include "switchyard.podLabels" .root | nindent 2 }}
annotations:
  {{- include "switchyard.podAnnotations" .root | nindent 2 }}
  # A process reads its Secrets only when it starts, so a changed one starts a rollout.
  checksum/secrets: {{ include "switchyard.secretsChecksum" (list .root $secrets) }}
{{- end -}}

{{- define "switchyard.servicePodSpec" -}}
serviceAccountName: {{ include "switchyard.fullname" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "switchyard.scheduling" .root }}
securityContext: {{- include "switchyard.podSecurity" .root.Values.image.user | nindent 2 }}
initContainers:
  - name: gate
    command: {{ concat .root.Values.gate.command (list "--replica-timeout" (int64 .root.Values.gate.replicaTimeout | toString)) | toJson }}
    {{- include "switchyard.serviceContainer" . | nindent 4 }}
volumes:
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        - secret:
            name: {{ include "switchyard.serviceSecretName" .root }}
            items:
              {{- range include "switchyard.serviceSecretKeys" .root | fromYamlArray }}
              - {key: {{ . }}, path: {{ . }}}
              {{- end }}
        {{- include "switchyard.databaseFiles" (list (include "switchyard.databases" .root | fromYaml) "app") | trim | nindent 8 }}
  - name: tmp
    emptyDir: {sizeLimit: 64Mi}
  {{- if .root.Values.metrics.enabled }}
  - name: metrics
    emptyDir: {medium: Memory, sizeLimit: 64Mi}
  {{- end }}
  {{- include "switchyard.extraVolumes" .root | nindent 2 }}
{{- end -}}

{{/* The fields of a container whose process loads the settings, except its name and what it runs. */}}
{{- define "switchyard.serviceContainer" -}}
image: {{ include "switchyard.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
env: {{- include "switchyard.serviceEnv" . | nindent 2 }}
{{- with .root.Values.envFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
resources: {{- toYaml .resources | nindent 2 }}
securityContext: {{- include "switchyard.containerSecurity" . | nindent 2 }}
volumeMounts:
  - {{ include "switchyard.secretsMount" . }}
  - {name: tmp, mountPath: /tmp}
  {{- if .root.Values.metrics.enabled }}
  - {name: metrics, mountPath: /run/metrics}
  {{- end }}
  {{- include "switchyard.extraVolumeMounts" .root | nindent 2 }}
{{- end -}}

{{/* The container that serves the metrics which the processes of its pod count, as an item of a list. */}}
{{- define "switchyard.metricsContainer" -}}
- name: metrics
  image: {{ include "switchyard.image" .root }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: {{ concat .root.Values.metrics.command (list "--dir" "/run/metrics" "--port" "9464") | toJson }}
  ports:
    - {name: metrics, containerPort: 9464}
  readinessProbe:
    httpGet: {path: /metrics, port: metrics}
    timeoutSeconds: 5
  livenessProbe:
    tcpSocket: {port: metrics}
    periodSeconds: 30
    timeoutSeconds: 5
  resources: {{- toYaml .root.Values.metrics.resources | nindent 4 }}
  securityContext: {{- include "switchyard.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - {name: metrics, mountPath: /run/metrics, readOnly: true}
{{- end -}}
