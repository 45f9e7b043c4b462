// Package transaction is what agents that judge messages have in common:
// where they leave their verdicts, and how they look at a message.
package transaction
