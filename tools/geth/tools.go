//go:build tools

// Package geth pins the Ethereum client that the tests run beside Anvil and Hardhat's node.
package geth

import _ "github.com/ethereum/go-ethereum/cmd/geth"
