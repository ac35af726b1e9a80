//go:build tools

// Package tools pins the Pyroscope server that profiles are tested against.
package tools

import _ "github.com/grafana/pyroscope/cmd/pyroscope"
