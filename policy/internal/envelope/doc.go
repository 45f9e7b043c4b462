// Package envelope has helpers for agents that change a message: its recipients,
// its Subject field and its body.
package envelope
