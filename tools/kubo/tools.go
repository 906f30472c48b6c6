//go:build tools

// Package kubo pins the Kubo daemon that the tests and the demo run.
package kubo

import _ "github.com/ipfs/kubo/cmd/ipfs"
