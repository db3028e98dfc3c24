{{- define "gantry-operator.name" -}}
{{- $name := contains "gantry-operator" .Release.Name | ternary .Release.Name (printf "%s-gantry-operator" .Release.Name) }}
{{- $name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "gantry-operator.selector" -}}
app.kubernetes.io/name: gantry-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gantry-operator.labels" -}}
{{ include "gantry-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "gantry-operator.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "gantry-operator.name" .) }}
{{- end }}

{{/* The rights in the namespaces that the operator looks after. Nothing is here that the operator does not use. */}}
{{- define "gantry-operator.rules" -}}
- apiGroups: [rocketmq.gantry.rs]
  resources: [brokerclusters, topics, consumergroups]
  verbs: [get, list, watch, patch] # patch: the finalizer in metadata; never the spec
- apiGroups: [rocketmq.gantry.rs]
  resources: [brokerclusters/status, topics/status, consumergroups/status]
  verbs: [patch]
- apiGroups: [rocketmq.gantry.rs]
  resources: [brokerclusters/finalizers]
  verbs: [update] # to own objects that hold back the deletion of their owner
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, configmaps, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}
