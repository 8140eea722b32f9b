{{/* The template of a component's pods: (dict "root" $ "component" of narvi.component). */}}
{{- define "narvi.podTemplate" -}}
{{- $root := .root }}{{ $c := .component }}{{ $v := $c.values }}
{{- $config := include "narvi.config" $root }}
metadata:
  annotations:
    checksum/config: {{ $config | sha256sum }}
    {{- with mergeOverwrite (deepCopy $root.Values.loki.podAnnotations) ($v.podAnnotations | default dict) }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "narvi.componentSelectorLabels" (dict "root" $root "name" $c.name) | nindent 4 }}
    app.kubernetes.io/part-of: memberlist
    {{- with mergeOverwrite (deepCopy $root.Values.loki.podLabels) ($v.podLabels | default dict) }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "narvi.serviceAccountName" $root }}
  automountServiceAccountToken: {{ $root.Values.serviceAccount.automountServiceAccountToken }}
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets: {{ toJson . }}
  {{- end }}
  {{- with $v.priorityClassName | default $root.Values.global.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext: {{ toJson $root.Values.loki.podSecurityContext }}
  terminationGracePeriodSeconds: {{ $c.grace }}
  {{- with $v.hostAliases }}
  hostAliases: {{ toJson . }}
  {{- end }}
  {{- with $v.initContainers }}
  initContainers: {{ toJson . }}
  {{- end }}
  containers:
    - name: narvi
      image: {{ include "narvi.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args:
        - -config.file=/etc/loki/config/config.yaml
        - -target={{ $c.target }}
        {{- if eq $c.target "read" }}
        # There is a backend: without this, `read` would do its work too, as in Loki 2.
        - -legacy-read-mode=false
        {{- end }}
        {{- range concat ($root.Values.loki.extraArgs | default list) ($v.extraArgs | default list) }}
        - {{ . | quote }}
        {{- end }}
      ports:
        - {name: http, containerPort: 3100, protocol: TCP}
        - {name: grpc, containerPort: 9095, protocol: TCP}
        - {name: memberlist, containerPort: 7946, protocol: TCP}
        - {name: memberlist-udp, containerPort: 7946, protocol: UDP}
      {{- with $v.extraEnv }}
      env: {{ toJson . }}
      {{- end }}
      {{- with $v.extraEnvFrom }}
      envFrom: {{ toJson . }}
      {{- end }}
      securityContext: {{ toJson $root.Values.loki.containerSecurityContext }}
      {{- with $root.Values.loki.readinessProbe }}
      readinessProbe: {{ toJson . }}
      {{- end }}
      {{- with $v.livenessProbe | default $root.Values.loki.livenessProbe }}
      livenessProbe: {{ toJson . }}
      {{- end }}
      {{- with $v.lifecycle }}
      lifecycle: {{ toJson . }}
      {{- end }}
      {{- with $v.resources }}
      resources: {{ toJson . }}
      {{- end }}
      volumeMounts:
        - {name: config, mountPath: /etc/loki/config, readOnly: true}
        - {name: runtime, mountPath: {{ printf "/var/%s-runtime" (include "narvi.name" $root) }}, readOnly: true}
        - {name: data, mountPath: /var/loki}
        - {name: tmp, mountPath: /tmp}
        {{- include "narvi.ruleMounts" (dict "root" $root "component" $c) | nindent 8 }}
        {{- with $v.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with $v.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  affinity:
    {{- if $v.affinity }}
    {{- include "narvi.text" (dict "root" $root "value" $v.affinity) | trim | nindent 4 }}
    {{- else }}
    # Pods of the same kind on machines of their own, where there are enough.
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "narvi.componentSelectorLabels" (dict "root" $root "name" $c.name) | nindent 16 }}
    {{- end }}
  {{- with $v.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- include "narvi.text" (dict "root" $root "value" .) | trim | nindent 4 }}
  {{- end }}
  {{- with $v.nodeSelector }}
  nodeSelector: {{ toJson . }}
  {{- end }}
  {{- with $v.tolerations }}
  tolerations: {{ toJson . }}
  {{- end }}
  volumes:
    - name: config
      {{- if $root.Values.loki.existingSecretForConfig }}
      secret: {secretName: {{ $root.Values.loki.existingSecretForConfig }}}
      {{- else if eq $root.Values.loki.configStorageType "Secret" }}
      secret: {secretName: {{ include "narvi.fullname" $root }}}
      {{- else }}
      configMap: {name: {{ include "narvi.fullname" $root }}}
      {{- end }}
    - name: runtime
      configMap: {name: {{ include "narvi.fullname" $root }}-runtime}
    - name: tmp
      emptyDir: {}
    {{- if not $c.data }}
    - name: data
      emptyDir: {}
    {{- else if eq $c.kind "Deployment" }}
    - name: data
      persistentVolumeClaim: {claimName: {{ include "narvi.componentName" (dict "root" $root "name" $c.name) }}}
    {{- else if $v.persistence.existingClaim }}
    - name: data
      persistentVolumeClaim: {claimName: {{ $v.persistence.existingClaim }}}
    {{- end }}
    {{- include "narvi.ruleVolumes" (dict "root" $root "component" $c) | nindent 4 }}
    {{- with $v.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* Whether a component evaluates rules. */}}
{{- define "narvi.evaluatesRules" -}}
{{- if has .target (list "all" "backend" "ruler") }}true{{ end }}
{{- end }}

{{- define "narvi.ruleMounts" -}}
{{- if include "narvi.evaluatesRules" .component }}
{{- range $tenant, $_ := .root.Values.ruler.directories }}
- {name: {{ printf "rules-%s" ($tenant | lower | replace "_" "-") }}, mountPath: {{ printf "/etc/loki/rules/%s" $tenant }}, readOnly: true}
{{- end }}
{{- end }}
{{- end }}

{{- define "narvi.ruleVolumes" -}}
{{- if include "narvi.evaluatesRules" .component }}
{{- $full := include "narvi.fullname" .root }}
{{- range $tenant, $_ := .root.Values.ruler.directories }}
{{- $name := printf "rules-%s" ($tenant | lower | replace "_" "-") }}
- {name: {{ $name }}, configMap: {name: {{ printf "%s-%s" $full $name }}}}
{{- end }}
{{- end }}
{{- end }}

{{/* A claim for data: (dict "values" of persistence). */}}
{{- define "narvi.claim" -}}
accessModes: {{ .accessModes | default (list "ReadWriteOnce") | toJson }}
{{- with .storageClass }}
storageClassName: {{ if eq "-" . }}""{{ else }}{{ . }}{{ end }}
{{- end }}
resources:
  requests:
    storage: {{ .size | default "10Gi" }}
{{- with .selector }}
selector: {{ toJson . }}
{{- end }}
{{- end }}
