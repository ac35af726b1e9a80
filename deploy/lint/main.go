// Checks and renders the chart: helm's own lint, every object against the types of Kubernetes with
// no field that these do not know, and the promises of docs/security.md.
package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	network "k8s.io/api/networking/v1"
	rbac "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

const usage = "usage: lint render CHART KUBERNETES [VALUES] | lint check CHART | lint objects FILE…"

func main() {
	err := fmt.Errorf("%s", usage)
	switch args := os.Args[1:]; {
	case len(args) >= 3 && args[0] == "render":
		var text string
		if text, err = render(args[1], args[2], strings.Join(args[3:], "")); err == nil {
			fmt.Print(text)
		}
	case len(args) == 2 && args[0] == "check":
		err = check(args[1])
	case len(args) >= 2 && args[0] == "objects":
		for _, name := range args[1:] {
			var text []byte
			if text, err = os.ReadFile(name); err == nil {
				err = objects(string(text))
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", name, err)
				break
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The whole chart as one text, object by object in the order of installation.
func render(path, version, values string) (string, error) {
	chart, err := loader.Load(path)
	if err != nil {
		return "", err
	}
	given := map[string]any{}
	if values != "" {
		if given, err = chartutil.ReadValuesFile(values); err != nil {
			return "", err
		}
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	parsed, err := chartutil.ParseKubeVersion(version)
	if err != nil {
		return "", err
	}
	capabilities.KubeVersion = *parsed
	options := chartutil.ReleaseOptions{Name: "sondage-host-agent", Namespace: "sondage", IsInstall: true}
	all, err := chartutil.ToRenderValues(chart, given, options, capabilities)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return "", err
	}
	var documents []string
	for name, text := range files {
		if strings.HasSuffix(name, ".yaml") {
			documents = append(documents, split(text)...)
		}
	}
	sort.Slice(documents, func(a, b int) bool { return place(documents[a]) < place(documents[b]) })
	return strings.Join(documents, "\n---\n") + "\n", nil
}

func split(text string) []string {
	var documents []string
	for _, document := range regexp.MustCompile(`(?m)^---\s*$`).Split(text, -1) {
		if document = strings.Trim(document, "\n"); document != "" {
			documents = append(documents, document)
		}
	}
	return documents
}

// Where an object comes in the order of installation.
func place(document string) string {
	order := []string{"Namespace", "NetworkPolicy", "ServiceAccount", "ConfigMap", "ClusterRole", "ClusterRoleBinding", "DaemonSet", "PodMonitor"}
	return fmt.Sprintf("%02d", slices.Index(order, kind(document)))
}

func kind(document string) string {
	var meta struct{ Kind string }
	if yaml.Unmarshal([]byte(document), &meta) != nil {
		return ""
	}
	return meta.Kind
}

func check(path string) error {
	for _, values := range []string{"", path + "/ci/all-values.yaml"} {
		given := map[string]any{}
		if values != "" {
			read, err := chartutil.ReadValuesFile(values)
			if err != nil {
				return err
			}
			given = read
		}
		result := lint.AllWithKubeVersion(path, given, "sondage", &chartutil.DefaultCapabilities.KubeVersion)
		for _, message := range result.Messages {
			if message.Severity > support.InfoSev {
				return fmt.Errorf("%s", message.Error())
			}
		}
		for _, version := range []string{"1.25.0", "1.29.0", "1.34.0"} {
			text, err := render(path, version, values)
			if err == nil {
				err = objects(text)
			}
			if err != nil {
				return fmt.Errorf("Kubernetes %s, values %q: %w", version, values, err)
			}
		}
	}
	return nil
}

// Every object has only fields that Kubernetes knows, and keeps what is promised.
func objects(text string) error {
	for _, document := range split(text) {
		strict := func(object any) error {
			return yaml.UnmarshalStrict([]byte(document), object, yaml.DisallowUnknownFields)
		}
		var err error
		switch kind := kind(document); kind {
		case "Namespace":
			err = strict(&core.Namespace{})
		case "ConfigMap":
			err = strict(&core.ConfigMap{})
		case "ServiceAccount":
			err = strict(&core.ServiceAccount{})
		case "ClusterRoleBinding":
			err = strict(&rbac.ClusterRoleBinding{})
		case "NetworkPolicy":
			err = strict(&network.NetworkPolicy{})
		case "ClusterRole":
			var role rbac.ClusterRole
			if err = strict(&role); err == nil {
				err = podsOnly(role)
			}
		case "DaemonSet":
			var set apps.DaemonSet
			if err = strict(&set); err == nil {
				err = leastPrivilege(set)
			}
		case "PodMonitor": // of the Prometheus operator, whose types are not here
		default:
			err = fmt.Errorf("a kind that is not expected")
		}
		if err != nil {
			first, _, _ := bytes.Cut([]byte(document), []byte("\n"))
			return fmt.Errorf("%s (%s): %w", kind(document), first, err)
		}
	}
	return nil
}

func podsOnly(role rbac.ClusterRole) error {
	for _, rule := range role.Rules {
		if !slices.Equal(rule.Resources, []string{"pods"}) || !slices.Equal(rule.APIGroups, []string{""}) {
			return fmt.Errorf("more than pods: %v", rule)
		}
		for _, verb := range rule.Verbs {
			if !slices.Contains([]string{"get", "list", "watch"}, verb) {
				return fmt.Errorf("more than reading: %s", verb)
			}
		}
	}
	return nil
}

// Capabilities that some values add. Others need a reason in docs/security.md first.
var known = []core.Capability{"BPF", "PERFMON", "SYS_PTRACE", "CHECKPOINT_RESTORE", "SYSLOG", "DAC_READ_SEARCH", "SYS_RESOURCE"}

func leastPrivilege(set apps.DaemonSet) error {
	pod := set.Spec.Template.Spec
	var wrong []string
	promise := func(holds bool, what string) {
		if !holds {
			wrong = append(wrong, what)
		}
	}
	promise(pod.HostPID && !pod.HostNetwork && !pod.HostIPC, "of the host's namespaces only that of pids")
	promise(pod.SecurityContext != nil && pod.SecurityContext.SeccompProfile != nil, "a seccomp profile is chosen")
	for _, volume := range pod.Volumes {
		promise(volume.HostPath == nil, "nothing of the host is mounted")
	}
	for _, container := range append(pod.Containers, pod.InitContainers...) {
		context := container.SecurityContext
		if context == nil || context.Capabilities == nil {
			return fmt.Errorf("no security context")
		}
		isFalse := func(value *bool) bool { return value != nil && !*value }
		promise(isFalse(context.Privileged), "privileged: false")
		promise(isFalse(context.AllowPrivilegeEscalation), "allowPrivilegeEscalation: false")
		promise(context.ReadOnlyRootFilesystem != nil && *context.ReadOnlyRootFilesystem, "readOnlyRootFilesystem: true")
		promise(slices.Equal(context.Capabilities.Drop, []core.Capability{"ALL"}), "drop: [ALL]")
		for _, capability := range context.Capabilities.Add {
			promise(slices.Contains(known, capability), "no capability "+string(capability))
		}
		limits := container.Resources.Limits
		promise(!limits.Cpu().IsZero() && !limits.Memory().IsZero(), "limits of CPU and memory")
		for _, mount := range container.VolumeMounts {
			promise(mount.ReadOnly || mount.Name == "storage", "only storage is written to")
		}
	}
	if wrong != nil {
		return fmt.Errorf("not kept: %s", strings.Join(wrong, "; "))
	}
	return nil
}
