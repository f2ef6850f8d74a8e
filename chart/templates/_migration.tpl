{{/* The spec of an owner's migration Job. The Job's name contains its hash. Arguments: root, databases, alias. */}}
{{- define "switchyard.migrationSpec" -}}
{{- $values := .root.Values.migrations -}}
{{- $clearMark := (get .databases .alias).clearMark -}}
backoffLimit: {{ int64 $values.backoffLimit }}
# docs/migrations.md has the exit codes of `migrate`.
podFailurePolicy:
  rules:
    - {action: Ignore, onPodConditions: [{type: DisruptionTarget, status: "True"}]}
    - {action: FailJob, onExitCodes: {containerName: migrate, operator: In, values: [2, 3]}}
activeDeadlineSeconds: {{ int64 $values.activeDeadlineSeconds }}
template:
  metadata:
    labels:
      {{- include "switchyard.selectorLabels" (dict "root" .root "component" "migration" "alias" .alias) | nindent 6 }}
      {{- include "switchyard.podLabels" .root | nindent 6 }}
    annotations:
      {{- include "switchyard.podAnnotations" .root | nindent 6 }}
      switchyard/attempt: {{ int64 $values.attempt | quote }}
  spec:
    restartPolicy: Never
    serviceAccountName: {{ include "switchyard.fullname" .root }}
    automountServiceAccountToken: false
    enableServiceLinks: false
    {{- include "switchyard.scheduling" .root | nindent 4 }}
    terminationGracePeriodSeconds: {{ int64 $values.terminationGracePeriodSeconds }}
    securityContext: {{- include "switchyard.podSecurity" .root.Values.image.user | nindent 6 }}
    containers:
      - name: migrate
        image: {{ include "switchyard.image" .root }}
        imagePullPolicy: {{ .root.Values.image.pullPolicy }}
        command: {{ concat $values.command (list (printf "--database=%s" .alias) "--noinput" (printf "--wait=%d" (int64 $values.activeDeadlineSeconds))) (empty $clearMark | ternary list (list (printf "--clear-mark=%s" $clearMark))) | toJson }}
        env:
          {{- include "switchyard.migratorEnv" . | trim | nindent 10 }}
          {{- include "switchyard.extraEnv" .root | trim | nindent 10 }}
        {{- with .root.Values.envFrom }}
        envFrom: {{- toYaml . | nindent 10 }}
        {{- end }}
        resources: {{- toYaml .root.Values.resources | nindent 10 }}
        securityContext: {{- include "switchyard.containerSecurity" . | nindent 10 }}
        volumeMounts:
          - {{ include "switchyard.secretsMount" . }}
          - {name: tmp, mountPath: /tmp}
          {{- include "switchyard.extraVolumeMounts" .root | nindent 10 }}
    volumes:
      - name: secrets
        projected:
          defaultMode: 0440
          sources: {{- include "switchyard.databaseFiles" (list (pick .databases .alias) "migrator") | trim | nindent 12 }}
      - name: tmp
        emptyDir: {sizeLimit: 64Mi}
      {{- include "switchyard.extraVolumes" .root | nindent 6 }}
{{- end -}}
